"""The embedded stack with its real servers: supervised, restarted, recovered after a kill, and stopped completely."""

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import httpx
import psutil
import pytest
import yaml
from support.polling import eventually
from support.prometheus import PrometheusClient
from support.servers import NO_CERTIFICATES, log_line
from tocsin_local.clock import requested_clock
from tocsin_local.control import send_command
from tocsin_local.errors import LocalError, PortTakenError, StateRefusedError
from tocsin_local.layout import PROMETHEUS_FOLDER, ports
from tocsin_local.loopback import free_port, free_port_offset, is_listening
from tocsin_local.monitoring import missing_monitor, monitors
from tocsin_local.processes import Process
from tocsin_local.smtp import SmtpSink
from tocsin_local.stack import Stack, StackOptions
from tocsin_local.state import StateFolder

RESTART_SECONDS = 5
MONITORS = ("prometheus", "alertmanager")


def needs_monitors() -> None:
    """Skips a test where the machine has no Prometheus or no Alertmanager."""
    if missing := missing_monitor():
        pytest.skip(missing)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A running stack without services."""
    state = tmp_path_factory.mktemp("state")
    options = StackOptions(state, free_port_offset(), services=(), durable=False, monitoring=True)
    stack = Stack(options, log_line)
    with stack.running():
        yield stack
    assert not any(is_listening(port) for port in ports(options.port_offset).values())
    assert not stack.state.run_file.exists()
    assert not (stack.state.folder / "environment.json").exists()
    stack.postgres.remove()


def pid(stack: Stack, part: str) -> int | None:
    run = json.loads(stack.state.run_file.read_text())
    found: int | None = run["pids"][part]
    return found


def test_run_json_describes_the_stack(stack: Stack) -> None:
    run = json.loads(stack.state.run_file.read_text())
    assert set(run) == {"urls", "api_key", "kafka", "smtp", "databases", "pids", "clock"}
    assert run["pids"]["supervisor"] == os.getpid()
    assert all(psutil.pid_exists(number) for number in run["pids"].values())
    assert stack.state.run_file.stat().st_mode & 0o077 == 0
    assert StateFolder(stack.state.folder).read_run() == run


def test_only_the_owner_can_read_the_state(stack: Stack) -> None:
    folder = stack.state.folder
    data = Path((folder / "postgres" / "data-folder").read_text())
    paths = [folder, *folder.rglob("*"), data, *data.rglob("*")]
    assert len(paths) > 100
    open_to_others = [path for path in paths if not path.is_symlink() and path.stat().st_mode & 0o077]
    assert open_to_others == []
    postgres = pid(stack, "postgres")
    assert data.stat().st_uid == psutil.Process(postgres).uids().real
    later = [folder / "logs" / "smtp.log", folder / "smtp"]  # written by a process of its own
    assert [path.stat().st_uid for path in later] == [os.geteuid()] * 2


@pytest.mark.parametrize("part", ["postgres", "smtp"])
async def test_a_part_that_dies_is_restarted_within_five_seconds(stack: Stack, part: str) -> None:
    await kill_and_wait(stack, part)
    port = stack.postgres.port if part == "postgres" else stack.smtp.port
    await eventually(lambda: is_listening(port), seconds=RESTART_SECONDS)


async def kill_and_wait(stack: Stack, part: str) -> None:
    """Kill the part's process and wait until run.json has another pid."""
    before = pid(stack, part)
    assert before is not None
    psutil.Process(before).kill()
    await eventually(lambda: pid(stack, part) not in (before, None), seconds=RESTART_SECONDS)


@pytest.mark.parametrize("command", ["stop", "kill"])
async def test_a_stopped_part_stays_down_until_it_is_started(stack: Stack, command: str) -> None:
    state = stack.state.folder
    send_command(state, command=command, part="smtp")
    assert not is_listening(stack.smtp.port)
    assert pid(stack, "smtp") is None
    await kill_and_wait(stack, "postgres")  # meanwhile the supervisor has looked at all parts
    assert not is_listening(stack.smtp.port)
    send_command(state, command="start", part="smtp")
    assert is_listening(stack.smtp.port)
    with pytest.raises(LocalError, match="kafka, postgres"):
        send_command(state, command=command, part="toaster")


@pytest.mark.parametrize("part", MONITORS)
async def test_a_monitor_is_a_part_like_the_others(stack: Stack, part: str) -> None:
    needs_monitors()
    url = httpx.URL(stack.run["urls"][part])
    assert url.port == ports(stack.options.port_offset)[part]
    before = pid(stack, part)
    await kill_and_wait(stack, part)
    await eventually(lambda: is_ready_at(url), seconds=RESTART_SECONDS)
    assert pid(stack, part) != before
    send_command(stack.state.folder, command="stop", part=part)
    assert not is_ready_at(url)
    send_command(stack.state.folder, command="start", part=part)
    assert is_ready_at(url)


def is_ready_at(url: httpx.URL) -> bool:
    try:
        return httpx.get(url.copy_with(path="/-/ready"), verify=NO_CERTIFICATES).is_success
    except httpx.TransportError:
        return False


def test_prometheus_has_the_shipped_rules(stack: Stack) -> None:
    needs_monitors()
    shipped = yaml.safe_load((PROMETHEUS_FOLDER / "alerts.yaml").read_text())["groups"]
    prometheus = PrometheusClient(stack.run["urls"]["prometheus"])
    assert prometheus.rule_names() == {rule["alert"] for group in shipped for rule in group["rules"]}


@pytest.mark.parametrize("installed", [set(), {"alertmanager"}, {"prometheus"}], ids=["none", "no prometheus", "one"])
def test_a_missing_monitor_is_one_line(installed: set[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/usr/bin/{name}" if name in installed else None)
    found = monitors(tmp_path, ports(0), ["intake"])
    assert [part.name for part in found] == (["prometheus"] if "prometheus" in installed else [])
    sentence = missing_monitor()
    assert sentence is not None
    assert "\n" not in sentence
    assert "apt install" in sentence


def test_a_stack_starts_although_a_monitor_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in MONITORS:
        (programs / name).write_text("#!/bin/sh\necho unknown option; exit 1\n")
        (programs / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(programs), prepend=":")
    lines: list[str] = []
    options = StackOptions(tmp_path / "state", free_port_offset(), services=(), durable=False, monitoring=True)
    stack = Stack(options, lines.append)
    try:
        with stack.running():
            assert set(stack.run["urls"]) == {"inbox"}
            assert set(stack.run["pids"]) == {"postgres", "kafka", "smtp", "supervisor"}
    finally:
        stack.postgres.remove()
    assert sum("unknown option" in line for line in lines) == len(MONITORS)


def test_a_second_stack_on_the_same_state_is_refused(stack: Stack) -> None:
    with pytest.raises(StateRefusedError, match="already running"), Stack(stack.options, log_line).running():
        pass


def test_a_port_in_use_is_named(stack: Stack, tmp_path: Path) -> None:
    options = StackOptions(tmp_path, stack.options.port_offset, services=())
    with pytest.raises(PortTakenError, match="TOCSIN_PORT_OFFSET"), Stack(options, log_line).running():
        pass


def test_a_command_without_a_stack_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="make run"):
        send_command(tmp_path, command="stop", part="kafka")


def test_processes_left_by_a_killed_stack_are_ended(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    left = Process(SmtpSink(tmp_path / "smtp", free_port(), free_port()), tmp_path / "smtp.log")
    left.wait_ready(20)
    state.record_processes([left.record, left.record | {"name": "reused pid", "pid": os.getpid()}])
    assert state.end_leftovers() == ["smtp"]
    assert not left.is_alive()


def test_the_key_and_the_clock_outlive_the_stack(tmp_path: Path) -> None:
    state = StateFolder(tmp_path)
    key, clock = state.api_key(), state.clock(requested_clock({"TOCSIN_CLOCK_RATE": "60"}))
    again = StateFolder(tmp_path)
    assert again.api_key() == key
    assert again.clock(requested_clock({})) == clock
    assert again.keys_file.stat().st_mode & 0o077 == 0
