"""`make run`: a stack in the foreground, until Ctrl-C or TERM."""

import shutil
import signal
import sys
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from types import FrameType

from tocsin_local.control import Control
from tocsin_local.jars import fetch
from tocsin_local.postgres import Postgres, bundle
from tocsin_local.stack import Plan, Stack, plan_from
from tocsin_local.state import State
from tocsin_local.supervisor import Interrupted

ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def run(plan: Plan) -> None:
    """Starts the stack, tells where to look, stays, and stops it. Raises LocalError when it does not come up."""
    began = time.monotonic()
    stack = Stack(plan, tell)
    with stack.state.held():
        for name in (bundle(), "kafka"):
            fetch(name, tell)
        asked_to_end = threading.Event()
        for number in ENDING:
            signal.signal(number, _once(asked_to_end, stack.interrupt))
        control = Control(stack.state, {"start": stack.start_part, "stop": stack.stop_part, "kill": stack.kill_part})
        try:
            _start(stack)
            if not asked_to_end.is_set():
                tell(_where_to_look(stack, time.monotonic() - began))
            asked_to_end.wait()
        finally:
            tell("stopping ...")
            control.close()
            stack.stop()
            tell("stopped, nothing is left running")


def run_from(environment: Mapping[str, str]) -> None:
    """The stack that the environment describes (see `plan_from`)."""
    run(plan_from(environment))


def remove(folder: Path) -> None:
    """Deletes a state, with PostgreSQL's data wherever it lies. Raises StateRefused while a stack runs on it."""
    state = State(folder)
    if folder.exists():
        with state.held():
            state.end_leftovers()
            Postgres(folder / "postgres", 0, tell).remove()
            shutil.rmtree(folder)


def tell(line: str) -> None:
    """Progress is for the person who waits: on stderr, at once."""
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _start(stack: Stack) -> None:
    """In a thread of its own, so that a signal is noticed whatever it waits for."""
    failed: list[BaseException] = []

    def work() -> None:
        try:
            stack.start()
        except Interrupted:
            tell("interrupted while starting")
        except BaseException as error:  # raised again in the main thread, below
            failed.append(error)

    thread = threading.Thread(target=work, name="start")
    thread.start()
    thread.join()
    if failed:
        raise failed[0]


def _once(asked_to_end: threading.Event, interrupt: Callable[[], None]) -> Callable[[int, FrameType | None], None]:
    """A second Ctrl-C changes nothing: the stack is already ending, cleanly."""

    def handle(_number: int, _frame: FrameType | None) -> None:
        asked_to_end.set()
        interrupt()

    return handle


def _where_to_look(stack: Stack, seconds: float) -> str:
    run = stack.run
    urls = run["urls"]
    clock = stack.clock
    lines = [f"ready after {seconds:.0f} s.", ""]
    lines += [f"  {name:10} {url}" + ("/docs" if name != "inbox" else "") for name, url in urls.items()]
    lines += ["", f"  business time began at {clock.epoch} and runs at {clock.rate:g} times real time"]
    lines += [f"  API key    {run['api_key']}", f"  more       {stack.state.run_file}, logs in {stack.state.logs}"]
    if "intake" in urls:
        lines += [
            "",
            "a ticket:",
            f"  curl -X POST {urls['intake']}/v1/tickets -H 'Authorization: Bearer {run['api_key']}' \\",
        ]
        lines += ["    -H 'Content-Type: application/json' -d '" + TICKET + "'"]
    return "\n".join([*lines, "", "Ctrl-C stops it all."])


TICKET = (
    '{"source": "curl", "external_id": "1", "severity": 1, "summary": "Mail is down", "affected_services": ["Email"], '
    '"contact": {"name": "Ada", "email": "ada@example.org"}, "customer": {"id": "acme", "name": "Acme"}}'
)
