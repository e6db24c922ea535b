"""Schemathesis over the whole API of all four services, with all checks and stateful links: nothing fails.

A few examples of each call here; `make fuzz-api` tries many more (TOCSIN_FUZZ_EXAMPLES), and what lies at every bound
of every field (the phase `coverage`).
"""

import asyncio
import os
import socket
import sys
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import uvicorn
from four_apis import ROUTES, application
from servers import MakeDatabase
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.runtime import limiting
from tocsin.runtime.connections import BoundedH11
from tocsin.runtime.database import engine
from tocsin.runtime.keys import KeyFile, issue, write_keys

TESTS = Path(__file__).parents[1]
EXAMPLES = os.environ.get("TOCSIN_FUZZ_EXAMPLES", "2")
SERVICES = os.environ.get("TOCSIN_FUZZ_SERVICES", ",".join(ROUTES)).split(",")
PHASES = os.environ.get("TOCSIN_FUZZ_PHASES", "examples,fuzzing,stateful")
SECONDS = 300 + 30 * int(EXAMPLES)


@pytest.fixture
def ports(make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Mapping[str, int]]:
    """All four services' applications behind real HTTP, each on a database of its own; the key is in tmp_path/key."""
    monkeypatch.setattr(limiting, "TRY_SECONDS", 0.0)  # wrong keys are tried with every call
    text, entry = issue("default")
    (tmp_path / "key").write_text(text)
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=(entry,)))
    engines = {service: engine(make_database(service), f"{service}-writer") for service in SERVICES}
    listening = {service: socket.create_server(("127.0.0.1", 0), backlog=256) for service in SERVICES}
    servers = [_server(service, engines[service], tmp_path / "keys.yaml") for service in SERVICES]

    async def serve() -> None:
        sockets = listening.values()
        await asyncio.gather(*(one.serve([at]) for one, at in zip(servers, sockets, strict=True)))
        for each in engines.values():
            await each.dispose()

    thread = threading.Thread(target=lambda: asyncio.run(serve()))
    thread.start()
    yield {service: at.getsockname()[1] for service, at in listening.items()}
    for server in servers:
        server.should_exit = True
    thread.join()
    for at in listening.values():
        at.close()


async def test_no_check_of_schemathesis_fails(ports: Mapping[str, int], tmp_path: Path) -> None:
    told = await asyncio.gather(*(tried(port, tmp_path) for port in ports.values()))
    failed = [text for status, text in told if status]
    assert not failed, "\n".join(failed)


async def tried(port: int, folder: Path) -> tuple[int, str]:
    """How Schemathesis ends on a service, and what it tells."""
    command = [
        *(sys.executable, "-m", "schemathesis.cli", "--config-file", str(TESTS / "fuzzing/schemathesis.toml")),
        *("run", f"http://127.0.0.1:{port}/openapi.json", "--checks", "all", "--continue-on-failure", "--no-color"),
        *("--phases", PHASES, "--max-examples", EXAMPLES, "--workers", "1", "--seed", "1"),
    ]
    environment = {**os.environ, "PYTHONPATH": str(TESTS), "TOCSIN_FUZZ_KEY": (folder / "key").read_text()}
    told = folder / f"told-{port}.txt"
    with told.open("wb") as out:
        process = await asyncio.create_subprocess_exec(*command, cwd=folder, env=environment, stdout=out, stderr=out)
        try:
            async with asyncio.timeout(SECONDS):
                status = await process.wait()
        except TimeoutError:
            process.kill()
            status = await process.wait()
    return status, told.read_text(errors="replace")


def _server(service: str, database: AsyncEngine, keys: Path) -> uvicorn.Server:
    """uvicorn as `tocsin.runtime.service` sets it up."""
    app = application(service, database, keys)
    config = uvicorn.Config(
        app,
        http=BoundedH11,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        timeout_keep_alive=300,  # Schemathesis thinks for long between two requests
    )
    return uvicorn.Server(config)
