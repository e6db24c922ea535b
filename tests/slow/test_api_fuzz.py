"""Schemathesis tests the whole API of each service, with all checks, all phases and stateful links.

Few examples per operation; `make fuzz-api` tries many more (TOCSIN_FUZZ_EXAMPLES).
"""

import asyncio
import json
import os
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import uvicorn
from fuzzing import seeds
from support.servers import MakeDatabase, SharedSink
from support.service_apps import POLICIES, SERVICES, build_service
from support.webhook_recordings import PROVIDERS, SECRET
from tocsin.runtime.http import rate_limit
from tocsin.runtime.http.api_keys import KeyFile, issue, write_keys
from tocsin.runtime.http.h11_protocol import BoundedH11

TESTS = Path(__file__).parents[1]
EXAMPLES = os.environ.get("TOCSIN_FUZZ_EXAMPLES", "2")
SEED = int(os.environ.get("TOCSIN_FUZZ_SEED", "1"))
PASSES = 10  # sequences are random: another pass may follow a link that the first one did not
REPORT, KNOWN = "report.ndjson", "known.json"
SECONDS = 900 + 30 * int(EXAMPLES)
MAILBOX = """
email:
  default:
    auth: { secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }
    ours: [betterworldtech.com]
    severity: 3
    services: [Unspecified]
    sources: [connectwise]
    customer: { id: default, name: Default }
"""
# One group each, so that they run in parallel.
each_service = [pytest.param(service, marks=pytest.mark.xdist_group(f"fuzz-{service}")) for service in SERVICES]
pytestmark = pytest.mark.long


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with an API key and the shipped integrations. Their secrets are in the environment."""
    text, entry = issue("default")
    (tmp_path / "key").write_text(text)
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=(entry,)))
    (tmp_path / "integrations.yaml").write_text((POLICIES / "integrations.yaml").read_text() + MAILBOX)
    for name in (*PROVIDERS, "email"):
        monkeypatch.setenv(f"TOCSIN_HOOK_{name.upper()}", SECRET.decode())
    return tmp_path


@pytest.mark.parametrize("service", each_service)
async def test_every_check_of_schemathesis_passes_and_every_link_is_followed(
    service: str, folder: Path, make_database: MakeDatabase, smtp_sink: SharedSink, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rate_limit, "DELAY_SECONDS", 0.0)  # Schemathesis sends wrong keys with every operation
    url = make_database(service)
    known = await seeds.seed(service, url, folder, smtp_sink)
    (folder / KNOWN).write_text(json.dumps(known))
    with serving(service, url, folder) as (port, document):
        await run_schemathesis(port, folder, "examples,coverage,fuzzing", SEED)
        missed = links(document)
        for seed in range(SEED, SEED + PASSES):
            if missed:
                await run_schemathesis(port, folder, "stateful", seed)
                missed -= followed_links(folder / REPORT)
    assert missed == set()


@contextmanager
def serving(service: str, url: str, folder: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Serves the service's application with the HTTP settings of production: its port and its OpenAPI document."""
    built = build_service(service, url, folder)
    config = uvicorn.Config(
        built.app,
        http=BoundedH11,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=300,  # Schemathesis pauses for long between two requests
    )
    server = uvicorn.Server(config)

    async def serve(at: socket.socket) -> None:
        if built.prepare is not None:
            await built.prepare()
        await server.serve([at])
        await built.runtime.dispose()

    with socket.create_server(("127.0.0.1", 0), backlog=256) as at:
        at.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # otherwise every response takes 40 ms
        thread = threading.Thread(target=lambda: asyncio.run(serve(at)))
        thread.start()
        try:
            yield at.getsockname()[1], built.app.openapi()
        finally:
            server.should_exit = True
            thread.join()


async def run_schemathesis(port: int, folder: Path, phases: str, seed: int) -> None:
    """Fails the test with Schemathesis' output unless all checks pass."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "fuzzing/schemathesis.toml")),
        *("run", f"http://127.0.0.1:{port}/openapi.json", "--continue-on-failure", "--no-color"),
        *("--phases", phases, "--max-examples", EXAMPLES, "--workers", "1", "--seed", str(seed)),
        *("--report", "ndjson", "--report-ndjson-path", str(folder / REPORT)),
    ]
    own = {"PYTHONPATH": str(TESTS), "TOCSIN_FUZZ_KEY": (folder / "key").read_text(), "TOCSIN_FUZZ_KNOWN": KNOWN}
    output = folder / "output.txt"
    with output.open("wb") as out:
        process = await asyncio.create_subprocess_exec(
            *command, cwd=folder, env=os.environ | own, stdout=out, stderr=out
        )
        try:
            async with asyncio.timeout(SECONDS):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            status = await process.wait()
    assert status == 0, output.read_text(errors="replace")


def links(document: dict[str, Any]) -> set[str]:
    """The links of an OpenAPI document, named as Schemathesis names them."""
    return {
        f"{method.upper()} {path} -> [{status}] {name} -> {_target(link['operationRef'])}"
        for path, item in document["paths"].items()
        for method, operation in item.items()
        for status, response in operation["responses"].items()
        for name, link in response.get("links", {}).items()
    }


def _target(reference: str) -> str:
    path, method = reference.removeprefix("#/paths/").rsplit("/", 1)
    return f"{method.upper()} {path.replace('~1', '/')}"


def followed_links(report: Path) -> set[str]:
    """The links whose values were used in a request, according to Schemathesis' report."""
    events = map(json.loads, report.read_text().splitlines())
    recorders = (event["ScenarioFinished"]["recorder"] for event in events if "ScenarioFinished" in event)
    cases = (case for recorder in recorders for case in recorder.get("cases", {}).values())
    return {case["transition"]["id"] for case in cases if case.get("is_transition_applied")}
