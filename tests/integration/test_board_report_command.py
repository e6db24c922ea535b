"""`python -m board report` against sla-timer and the escalator, which this process serves on loopback."""

import asyncio
import csv
import json
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import typer.main
import uvicorn
from board.commands.app import app
from fastapi import FastAPI
from support.polling import eventually
from support.report_log import import_history, read_generated_log
from support.report_world import ReportWorld, report_world
from support.servers import MakeDatabase
from tocsin.runtime.process.clock import BusinessClock
from tocsin_local.loopback import free_port
from typer.testing import CliRunner

NOW = datetime(2013, 4, 12, 15, tzinfo=UTC)


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[ReportWorld]:
    async with report_world(make_database, tmp_path, BusinessClock(NOW, NOW, 0)) as made:
        await import_history(made, read_generated_log(tmp_path, seed=1, tickets=40).tickets, NOW)
        yield made


@asynccontextmanager
async def served(app: FastAPI) -> AsyncIterator[str]:
    """The URL at which the application is served."""
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, lifespan="off", log_level="critical"))
    task = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started, "uvicorn has started")
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    await task


async def print_report(*arguments: str) -> bytes:
    """What the command writes to its standard output."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "board", "report", *arguments), stdout=asyncio.subprocess.PIPE
    )
    output, _ = await process.communicate()
    assert process.returncode == 0
    return output


async def test_the_command_writes_the_format_of_the_suffix_or_the_chosen_one(
    world: ReportWorld, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = typer.main.get_command(app)

    async def run_report(*arguments: str) -> tuple[int, str]:
        """(exit status, standard error) of the command, in a thread: this one serves what it asks."""
        status: int | None = await asyncio.to_thread(command, ["report", *arguments], standalone_mode=False)
        return status or 0, capsys.readouterr().err

    key = world.client.headers["Authorization"].removeprefix("Bearer ")
    async with served(world.timer.service.app) as timer, served(world.escalator.app) as escalator:
        environment = {
            "TOCSIN_SLA_TIMER_URL": timer,
            "TOCSIN_ESCALATOR_URL": escalator,
            "TOCSIN_UPSTREAM_KEYS": json.dumps({"default": key}),
            "TOCSIN_CLOCK_EPOCH": "2013-04-12T15:00:00Z",
            "TOCSIN_CLOCK_ORIGIN": "2013-04-12T15:00:00Z",
            "TOCSIN_CLOCK_RATE": "0",
        }
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        common = ("--month", "2013-02", "--customer", "customer 1")
        for name in ("report.html", "report.CSV"):
            assert await run_report(*common, "--out", str(tmp_path / name)) == (0, "")
        printed = await print_report(*common, "--format", "json")
        served_body: dict[str, Any] = (await world.get("/reports/2013-02.json", customer="customer 1")).json()
        assert json.loads(printed) == served_body
        page = (tmp_path / "report.html").read_text("utf-8")
        assert "<h1>customer 1</h1>" in page
        assert "<nav" not in page
        with (tmp_path / "report.CSV").open(newline="") as lines:
            assert {line["month"] for line in csv.DictReader(lines)} == {"2013-02"}
        status, errors = await run_report("--month", "2013-02", "--customer", "nobody")
        assert (status, errors) == (1, "There are no numbers of the customer 'nobody' in any month. Check the id.\n")
        status, errors = await run_report(*common, "--out", str(tmp_path / "no" / "report.html"))
        assert (status, errors.partition(" cannot be written: ")[2]) == (1, "No such file or directory.\n")
    status, errors = await run_report(*common)
    assert (status, errors.startswith("sla-timer does not respond")) == (1, True)


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("--month", "2013-13"), "--month"),
        (("--month", "2013-02"), "--tenant"),
        ((), "--month"),
        (("--month", "2013-02", "--tenant", "a", "--out", "report.pdf"), ".pdf is not the suffix of a format"),
    ],
)
def test_a_wrong_or_missing_option_is_named(
    monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], option: str
) -> None:
    monkeypatch.setenv("COLUMNS", "200")  # no sentence is wrapped
    monkeypatch.setenv("TOCSIN_UPSTREAM_KEYS", json.dumps(dict.fromkeys("ab", "tcs_00000000_unknown")))
    result = CliRunner().invoke(app, ["report", *arguments])
    assert (result.exit_code, option in result.stderr) == (2, True)
