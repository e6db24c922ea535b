"""The stack's own promises, with its servers: supervised, restarted, recovered, stopped without a trace."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import pytest
from support.polling import eventually
from support.servers import log_line
from tocsin_local.clock import asked
from tocsin_local.command import send
from tocsin_local.control import Control
from tocsin_local.errors import LocalError, PortTaken, StateRefused
from tocsin_local.ports import ports
from tocsin_local.processes import Process, answers, free_offset, free_port
from tocsin_local.smtp import SmtpSink
from tocsin_local.stack import Plan, Stack

RESTART_SECONDS = 5


@contextmanager
def started(plan: Plan) -> Iterator[Stack]:
    stack = Stack(plan, log_line)
    with stack.state.held():
        try:
            stack.start()
            yield stack
        finally:
            stack.stop()


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    return Plan(tmp_path_factory.mktemp("state"), free_offset(), services=(), durable=False)


@pytest.fixture(scope="module")
def stack(plan: Plan) -> Iterator[Stack]:
    with started(plan) as stack:
        yield stack
    assert not any(answers(port) for port in ports(plan.port_offset).values())
    assert not stack.state.run_file.exists()
    stack.postgres.remove()


def pid(stack: Stack, part: str) -> int | None:
    run = json.loads(stack.state.run_file.read_text())
    found: int | None = run["pids"][part]
    return found


def test_run_json_tells_where_everything_is(stack: Stack) -> None:
    run = json.loads(stack.state.run_file.read_text())
    assert set(run) == {"urls", "api_key", "kafka", "smtp", "databases", "pids", "clock"}
    assert run["pids"]["supervisor"] == os.getpid()
    assert all(psutil.pid_exists(number) for number in run["pids"].values())
    assert stack.state.run_file.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("part", ["postgres", "smtp"])
async def test_a_part_that_dies_is_back_within_five_seconds(stack: Stack, part: str) -> None:
    await ended_and_back(stack, part)
    port = stack.postgres.port if part == "postgres" else stack.smtp.port
    await eventually(lambda: answers(port), seconds=RESTART_SECONDS)


async def ended_and_back(stack: Stack, part: str) -> None:
    before = pid(stack, part)
    assert before is not None
    psutil.Process(before).kill()
    await eventually(lambda: pid(stack, part) not in (before, None), seconds=RESTART_SECONDS)


@pytest.mark.parametrize("command", ["stop", "kill"])
async def test_a_part_that_was_put_down_stays_down_until_it_is_started(stack: Stack, command: str) -> None:
    commands = {"start": stack.start_part, "stop": stack.stop_part, "kill": stack.kill_part}
    control = Control(stack.state, commands)
    send(stack.plan.state, command, "smtp")
    assert not answers(stack.smtp.port)
    assert pid(stack, "smtp") is None
    await ended_and_back(stack, "postgres")  # the supervisor has looked at all parts meanwhile
    assert not answers(stack.smtp.port)
    send(stack.plan.state, "start", "smtp")
    assert answers(stack.smtp.port)
    with pytest.raises(LocalError, match="postgres, kafka, smtp"):
        send(stack.plan.state, command, "toaster")
    control.close()


def test_a_second_stack_on_the_same_state_is_refused(stack: Stack) -> None:
    with pytest.raises(StateRefused, match="already running"), Stack(stack.plan, log_line).state.held():
        pass


def test_a_taken_port_is_named(stack: Stack, tmp_path: Path) -> None:
    plan = Plan(tmp_path, stack.plan.port_offset, services=())
    with pytest.raises(PortTaken, match="TOCSIN_PORT_OFFSET"), started(plan):
        pass


def test_without_a_stack_a_command_says_so(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match="make run"):
        send(tmp_path, "stop", "kafka")


def test_leftovers_of_a_killed_stack_are_ended(tmp_path: Path) -> None:
    stack = Stack(Plan(tmp_path), log_line)
    left = Process(SmtpSink(tmp_path / "smtp", free_port(), free_port()), tmp_path / "smtp.log")
    left.wait_ready(20)
    stack.state.record_processes([left.entry, left.entry | {"name": "other", "pid": os.getpid()}])
    assert stack.state.end_leftovers() == ["smtp"]
    assert not left.alive()


def test_the_key_and_the_clock_outlive_a_start(tmp_path: Path) -> None:
    state = Stack(Plan(tmp_path), log_line).state
    key, clock = state.api_key(), state.clock(asked({"TOCSIN_CLOCK_RATE": "60"}))
    again = Stack(Plan(tmp_path), log_line).state
    assert again.api_key() == key
    assert again.clock(asked({})) == clock
    assert again.keys_file.stat().st_mode & 0o077 == 0
