"""Keeps parts running: restarts those that die, and keeps down those that were stopped on purpose."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from tocsin.backoff import Backoff

from tocsin_local.errors import LocalError, PartFailedError, StartInterruptedError
from tocsin_local.processes import POLL_SECONDS, Process, StackPart, last_line

WATCH_SECONDS = 0.2
READY_SECONDS = 120.0
RESTART_BACKOFF = Backoff(first=timedelta(seconds=0.25), longest=timedelta(seconds=4))
LONG_RUN_SECONDS = 30.0
MAX_START_FAILURES = 4


class Supervisor:
    """The parts of a running stack, by name. All calls block and may come from any thread.

    It uses threads, not an event loop: it serves a command line, and tests that have loops of their own. `on_change` is
    called after every start and end of a process.
    """

    def __init__(self, logs: Path, on_change: Callable[[], None], report: Callable[[str], None]) -> None:
        self._logs = logs
        self._on_change = on_change
        self._report = report
        self._parts: dict[str, _SupervisedPart] = {}
        self._ending = threading.Event()
        self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)

    def launch(self, part: StackPart) -> None:
        """Start a new part and return at once. Raises LocalError."""
        supervised = _SupervisedPart(part, self._logs / f"{part.name}.log")
        with supervised.lock:
            supervised.launch()
            self._parts[part.name] = supervised
        self._on_change()

    def watch(self) -> None:
        """From now on, restart parts that die."""
        self._watcher.start()

    def wait_ready(self, name: str) -> None:
        """Return when the part is ready; it may die and be restarted meanwhile.

        Raises PartFailedError if it keeps dying, or is not ready in time, StartInterruptedError after `interrupt`.
        """
        supervised = self._find(name)
        end = time.monotonic() + READY_SECONDS
        while not supervised.is_ready():
            if self._ending.is_set():
                raise StartInterruptedError("interrupted while starting")
            if supervised.failures >= MAX_START_FAILURES:
                log = supervised.log
                raise PartFailedError(f"{name} does not start: {last_line(log)} (see {log}).")
            if time.monotonic() > end:
                raise PartFailedError(f"{name} is not ready after {READY_SECONDS:.0f} s: see {supervised.log}.")
            time.sleep(POLL_SECONDS)
        supervised.failures = 0

    def start(self, name: str) -> None:
        """Start a part that is down, and return when it is ready; one that runs is left alone. Raises LocalError."""
        supervised = self._find(name)
        with supervised.lock:
            supervised.wanted = True
            supervised.failures = 0
            if not supervised.is_alive():
                supervised.launch()
        self._on_change()
        self.wait_ready(name)

    def stop(self, name: str) -> None:
        """Stop the part cleanly and keep it down; return when it is gone."""
        self._take_down(name, Process.stop)

    def kill(self, name: str) -> None:
        """Kill the part with SIGKILL and keep it down; return when it is gone."""
        self._take_down(name, Process.kill)

    def remove(self, name: str) -> None:
        """Stop the part and forget it."""
        self.stop(name)
        del self._parts[name]
        self._on_change()

    def names(self) -> list[str]:
        return list(self._parts)

    def pids(self) -> dict[str, int | None]:
        """The process of each part; None for a part that is down."""
        parts = list(self._parts.items())
        return {name: part.process.pid if part.process and part.is_alive() else None for name, part in parts}

    def port(self, name: str) -> int:
        return self._find(name).part.port

    def records(self) -> list[dict[str, Any]]:
        """The running processes, for `StateFolder.record_processes`."""
        return [part.process.record for part in list(self._parts.values()) if part.process and part.is_alive()]

    def interrupt(self) -> None:
        """Make whoever waits for a part give up; nothing is restarted any more."""
        self._ending.set()

    def end(self, *stages: list[str]) -> None:
        """Stop everything, one stage after the other, the parts of a stage in parallel."""
        self.interrupt()
        if self._watcher.is_alive():
            self._watcher.join()
        for stage in stages:
            with ThreadPoolExecutor(max(1, len(stage))) as pool:
                list(pool.map(self.stop, [name for name in stage if name in self._parts]))

    def _watch(self) -> None:
        while not self._ending.wait(WATCH_SECONDS):
            for part in list(self._parts.values()):
                if part.lock.acquire(blocking=False):
                    try:
                        self._restart_if_dead(part)
                    finally:
                        part.lock.release()

    def _restart_if_dead(self, part: "_SupervisedPart") -> None:
        if not part.wanted or part.is_alive() or time.monotonic() < part.retry_at:
            return
        self._report(f"{part.part.name} ended, restarting it")
        part.record_failure()
        try:
            part.launch()
        except LocalError as error:
            self._report(str(error))
        self._on_change()

    def _take_down(self, name: str, end: Callable[[Process], None]) -> None:
        part = self._find(name)
        with part.lock:
            part.wanted = False
            if part.process is not None:
                end(part.process)
        self._on_change()

    def _find(self, name: str) -> "_SupervisedPart":
        if name not in self._parts:
            raise LocalError(f"there is no part {name!r}; the parts are {', '.join(sorted(self._parts))}.")
        return self._parts[name]


class _SupervisedPart:
    """A part with its present process. `wanted`: it is restarted if it dies."""

    def __init__(self, part: StackPart, log: Path) -> None:
        self.part = part
        self.log = log
        self.lock = threading.RLock()
        self.wanted = False
        self.process: Process | None = None
        self.failures = 0
        self.launched_at = 0.0
        self.retry_at = 0.0

    def launch(self) -> None:
        self.wanted = True
        self.process = Process(self.part, self.log)
        self.launched_at = time.monotonic()

    def is_alive(self) -> bool:
        return self.process is not None and self.process.is_alive()

    def is_ready(self) -> bool:
        return self.is_alive() and self.part.ready()

    def record_failure(self) -> None:
        """A part that ran for long is restarted at once; one that keeps dying is restarted after pauses."""
        if time.monotonic() - self.launched_at > LONG_RUN_SECONDS:
            self.failures = 0
        self.failures += 1
        self.retry_at = time.monotonic() + RESTART_BACKOFF.pause(self.failures).total_seconds()
