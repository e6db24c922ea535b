"""Keeps parts running: starts them again when they die, keeps down what was stopped on purpose."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from tocsin_local.errors import LocalError, PartFailed
from tocsin_local.processes import POLL_SECONDS, Part, Process, last_line

LOOK_SECONDS = 0.2
LONGEST_PAUSE = 4.0
LONG_RUN_SECONDS = 30.0
FAILURES_AT_START = 4
Tell = Callable[[str], None]


class Interrupted(Exception):
    """Somebody asked the stack to end while it was starting."""


class Supervisor:
    """Threads, not a loop: it serves a command line, and tests that have loops of their own."""

    def __init__(self, logs: Path, changed: Callable[[], None], tell: Tell) -> None:
        """`changed` is called after every start and end of a process."""
        self._logs = logs
        self._changed = changed
        self._tell = tell
        self._parts: dict[str, _Watched] = {}
        self._ending = threading.Event()
        self._watcher: threading.Thread | None = None

    def launch(self, part: Part) -> None:
        """Starts a new part and returns at once."""
        watched = _Watched(part, self._logs / f"{part.name}.log")
        with watched.lock:
            watched.launch()
            watched.wanted = True
            self._parts[part.name] = watched
        if self._watcher is None:
            self._watcher = threading.Thread(target=self._watch, name="supervisor", daemon=True)
            self._watcher.start()
        self._changed()

    def wait_ready(self, name: str, seconds: float) -> None:
        """Returns when the part answers; it may die and be started again meanwhile, as later.

        Raises PartFailed when it dies again and again or is not ready in time, Interrupted when all is to end.
        """
        watched = self._watched(name)
        end = time.monotonic() + seconds
        while not watched.ready():
            if self._ending.is_set():
                raise Interrupted
            if watched.failures >= FAILURES_AT_START:
                raise PartFailed(f"{name} does not start: {last_line(watched.log)} (all of it in {watched.log}).")
            if time.monotonic() > end:
                raise PartFailed(f"{name} is not ready after {seconds:.0f} s: see {watched.log}.")
            time.sleep(POLL_SECONDS)
        watched.failures = 0

    def start(self, name: str, seconds: float) -> None:
        """Brings a stopped part back and returns when it is ready; one that runs is left alone. Raises LocalError."""
        watched = self._watched(name)
        with watched.lock:
            watched.wanted = True
            watched.failures = 0
            if not watched.alive():
                watched.launch()
        self._changed()
        self.wait_ready(name, seconds)

    def stop(self, name: str) -> None:
        """Asks the part to end, keeps it down, and returns when it is gone."""
        self._down(name, Process.stop)

    def kill(self, name: str) -> None:
        """Ends the part as a crash would, keeps it down, and returns when it is gone."""
        self._down(name, Process.kill)

    def crash(self, name: str) -> None:
        """Ends the part as a crash would; it is started again as after any other."""
        process = self._watched(name).process
        if process is not None:
            process.kill()

    def remove(self, name: str) -> None:
        """Forgets a part that is down."""
        del self._parts[name]
        self._changed()

    def names(self) -> list[str]:
        return list(self._parts)

    def pids(self) -> dict[str, int | None]:
        """The process of each part; None for one that is down."""
        return {name: watched.pid() for name, watched in self._snapshot()}

    def entries(self) -> list[dict[str, Any]]:
        """All processes in the form of `State.record_processes`."""
        return [watched.process.entry for _, watched in self._snapshot() if watched.process and watched.alive()]

    def interrupt(self) -> None:
        """Makes whoever waits for a part give up; nothing is started again from now on."""
        self._ending.set()

    def end(self, *stages: list[str]) -> None:
        """Stops everything, a stage after the other, the parts of a stage together."""
        self.interrupt()
        if self._watcher is not None:
            self._watcher.join()
        for stage in stages:
            with ThreadPoolExecutor(max(1, len(stage))) as pool:
                list(pool.map(self.stop, [name for name in stage if name in self._parts]))

    def _watch(self) -> None:
        while not self._ending.wait(LOOK_SECONDS):
            for name, watched in self._snapshot():
                if watched.lock.acquire(blocking=False):
                    try:
                        self._look_after(name, watched)
                    finally:
                        watched.lock.release()

    def _look_after(self, name: str, watched: "_Watched") -> None:
        if not watched.wanted or watched.alive() or time.monotonic() < watched.retry_at:
            return
        self._tell(f"{name} ended, starting it again")
        watched.failed()
        try:
            watched.launch()
        except LocalError as error:
            self._tell(str(error))
        self._changed()

    def _down(self, name: str, end: Callable[[Process], None]) -> None:
        watched = self._watched(name)
        with watched.lock:
            watched.wanted = False
            if watched.process is not None:
                end(watched.process)
        self._changed()

    def _watched(self, name: str) -> "_Watched":
        if name not in self._parts:
            raise LocalError(f"there is no part {name!r}; there are {', '.join(self._parts)}.")
        return self._parts[name]

    def _snapshot(self) -> list[tuple[str, "_Watched"]]:
        return list(self._parts.items())


class _Watched:
    """A part with its present process."""

    def __init__(self, part: Part, log: Path) -> None:
        self.part = part
        self.log = log
        self.lock = threading.RLock()
        self.wanted = False
        self.process: Process | None = None
        self.failures = 0
        self.launched_at = 0.0
        self.retry_at = 0.0

    def launch(self) -> None:
        self.process = Process(self.part, self.log)
        self.launched_at = time.monotonic()

    def pid(self) -> int | None:
        return self.process.pid if self.process is not None and self.process.alive() else None

    def alive(self) -> bool:
        return self.process is not None and self.process.alive()

    def ready(self) -> bool:
        return self.alive() and self.part.ready()

    def failed(self) -> None:
        """A part that ran for long comes back at once, one that dies again and again after pauses."""
        if time.monotonic() - self.launched_at > LONG_RUN_SECONDS:
            self.failures = 0
        self.retry_at = time.monotonic() + min(LONGEST_PAUSE, 0.25 * 2**self.failures)
        self.failures += 1
