"""`make run` from the outside: it starts, restarts dead parts, recovers from its own kill, and leaves no process."""

import json
import os
import signal
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from support.polling import eventually
from support.servers import is_ready, log_line
from tocsin_local.control import send_command
from tocsin_local.loopback import free_port_offset
from tocsin_local.monitoring import missing_monitor
from tocsin_local.postgres import Postgres
from tocsin_local.processes import kill_processes
from tocsin_local.run import EXAMPLE_TICKET
from tocsin_local.services import BOARD, PACKAGES, PIPELINE

EPOCH = "2026-06-08T12:00:00Z"
MONITORS = set() if missing_monitor() else {"prometheus", "alertmanager"}
PARTS = {*PACKAGES, *MONITORS, "kafka", "postgres", "smtp", "supervisor"}
# Limits for a busy machine; an idle one needs a fraction of them.
UP_SECONDS = 150.0
RESTART_SECONDS = 30.0
MAIL_SECONDS = 60.0
END_SECONDS = 60.0


@dataclass
class RunCommand:
    """`make run` on its own state folder, started any number of times in a row."""

    folder: Path
    environment: Mapping[str, str]

    def start(self) -> psutil.Popen:
        with (self.folder.parent / "output").open("ab") as output:
            return psutil.Popen(
                [sys.executable, "-m", "tocsin_local", "run"], env=dict(self.environment), stdout=output, stderr=output
            )

    def read_run(self, supervisor: psutil.Popen) -> dict[str, Any] | None:
        """run.json, once this supervisor has written it."""
        assert supervisor.poll() is None, (self.folder.parent / "output").read_text()
        try:
            found: dict[str, Any] = json.loads((self.folder / "run.json").read_text())
        except FileNotFoundError:
            return None
        return found if found["pids"]["supervisor"] == supervisor.pid else None

    def processes(self) -> list[psutil.Process]:
        """Every process whose command line or environment names the state folder or PostgreSQL's data folder."""
        marks = (str(self.folder), *_data_folder(self.folder))
        return [process for process in psutil.process_iter() if any(mark in _command_line(process) for mark in marks)]


@pytest.fixture
def command(tmp_path: Path) -> Iterator[RunCommand]:
    folder = tmp_path / "state"
    command = RunCommand(
        folder,
        os.environ
        | {
            "TOCSIN_STATE": str(folder),
            "TOCSIN_PORT_OFFSET": str(free_port_offset()),
            "TOCSIN_CLOCK_EPOCH": EPOCH,
            "TOCSIN_CLOCK_RATE": "3600",
        },
    )
    yield command
    kill_processes(command.processes())
    Postgres(folder / "postgres", 0, log_line).remove()


@pytest.mark.long
async def test_it_starts_restarts_dead_parts_recovers_from_a_kill_and_leaves_no_process(command: RunCommand) -> None:
    began = time.monotonic()
    first = command.start()
    run = await eventually(lambda: command.read_run(first), "run.json", UP_SECONDS)
    _log_duration("up", began)
    _check(run, first.pid)
    known = {process.pid for process in command.processes()}
    assert set(run["pids"].values()) <= known, "some processes are not found"

    began = time.monotonic()
    ticket_id = _post_overdue(run)
    mails = await eventually(lambda: _mails(run, ticket_id), "a mail of the overdue ticket", MAIL_SECONDS)
    _log_duration("mailed", began)
    assert "Mail is down" in mails[0]["subject"] + mails[0]["text"]
    if MONITORS:
        watchdog = await eventually(lambda: _watchdog(run), "Prometheus has sent the Watchdog to the Alertmanager", 90)
        assert watchdog["labels"] == {"alertname": "Watchdog", "severity": "info"}
        assert watchdog["annotations"]["runbook_url"].endswith("/operations.md#watchdog")

    began = time.monotonic()
    before = run["pids"]["escalator"]
    os.kill(before, signal.SIGKILL)
    healed = await eventually(
        lambda: _renewed(command.read_run(first), before), "a new pid of the escalator", RESTART_SECONDS
    )
    _log_duration("new pid", began)
    await eventually(lambda: is_ready(healed["urls"]["escalator"]), "the escalator ready again", RESTART_SECONDS)
    _log_duration("ready again", began)
    assert healed | {"pids": {}} == run | {"pids": {}}
    assert {part for part in PARTS if healed["pids"][part] != run["pids"][part]} == {"escalator"}

    send_command(command.folder, command="stop", part=BOARD)
    assert not is_ready(run["urls"][BOARD])
    assert all(is_ready(run["urls"][service]) for service in PIPELINE), "a service needs the board"
    send_command(command.folder, command="start", part=BOARD)
    healed = await eventually(lambda: _renewed(command.read_run(first), before), "run.json with the board")
    assert all(healed["pids"].values())

    first.send_signal(signal.SIGKILL)
    first.wait(END_SECONDS)
    left = [psutil.Process(pid) for part, pid in healed["pids"].items() if part != "supervisor"]
    assert all(process.is_running() for process in left), "no process was left to be ended"
    began = time.monotonic()
    second = command.start()
    again = await eventually(lambda: command.read_run(second), "run.json of the second start", UP_SECONDS)
    _log_duration("up again after a kill of the supervisor", began)
    assert not any(process.is_running() for process in left)
    _check(again, second.pid)
    assert again | {"pids": {}} == run | {"pids": {}}
    assert _mails(again, ticket_id), "the mails are lost"

    family = second.children(recursive=True)  # PostgreSQL's children do not name a folder
    assert len(family) > len(PARTS)
    began = time.monotonic()
    second.send_signal(signal.SIGTERM)
    assert second.wait(END_SECONDS) == 0
    _log_duration("ended", began)
    assert not (command.folder / "run.json").exists()
    assert [process for process in {*command.processes(), *family} if process.is_running()] == []


def _check(run: Mapping[str, Any], supervisor: int) -> None:
    """run.json is complete (docs/architecture.md#embedded-stack), and every part runs."""
    assert set(run) == {"urls", "api_key", "kafka", "smtp", "databases", "pids", "clock"}
    assert set(run["urls"]) == {*PACKAGES, *MONITORS, "inbox"}
    assert set(run["databases"]) == set(PACKAGES)
    assert set(run["pids"]) == PARTS
    assert set(run["clock"]) == {"epoch", "rate", "origin"}
    assert run["pids"]["supervisor"] == supervisor
    assert run["clock"]["epoch"].startswith(EPOCH.removesuffix("Z"))
    assert run["clock"]["rate"] == 3600
    assert all(psutil.pid_exists(pid) for pid in run["pids"].values())
    assert all(is_ready(run["urls"][service]) for service in PACKAGES)


def _post_overdue(run: Mapping[str, Any]) -> str:
    """Post a ticket of severity 1 that was opened a week before business time began; its id."""
    ticket = json.loads(EXAMPLE_TICKET) | {"opened_at": "2026-06-01T12:00:00Z"}
    key = {"Authorization": f"Bearer {run['api_key']}"}
    answer = httpx.post(f"{run['urls']['intake']}/v1/tickets", json=ticket, headers=key, timeout=30)
    return str(answer.raise_for_status().json()["ticket_id"])


def _mails(run: Mapping[str, Any], ticket_id: str) -> list[dict[str, Any]]:
    messages = httpx.get(f"{run['urls']['inbox']}/messages", timeout=10).raise_for_status().json()
    return [message for message in messages if ["Tocsin-Ticket", ticket_id] in message["headers"]]


def _watchdog(run: Mapping[str, Any]) -> dict[str, Any] | None:
    alerts = httpx.get(f"{run['urls']['alertmanager']}/api/v2/alerts").json()
    return next((alert for alert in alerts if alert["labels"]["alertname"] == "Watchdog"), None)


def _renewed(run: dict[str, Any] | None, before: int) -> dict[str, Any] | None:
    return run if run and run["pids"]["escalator"] not in (before, None) else None


def _data_folder(folder: Path) -> list[str]:
    """PostgreSQL's data folder, which can be outside the state folder."""
    where = folder / "postgres" / "data-folder"
    return [where.read_text().strip()] if where.exists() else []


def _command_line(process: psutil.Process) -> str:
    """The command line and environment of a process; empty if it is gone or belongs to another user."""
    try:
        return "\0".join([*process.cmdline(), *process.environ().values()])
    except psutil.Error:
        return ""


def _log_duration(what: str, began: float) -> None:
    log_line(f"{what}: {time.monotonic() - began:.1f} s")
