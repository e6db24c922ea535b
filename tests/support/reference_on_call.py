"""Who is on call, found by looking at wall clocks every half hour: a slow reference that shares no code with ours."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]
Assigned = tuple[str, str] | None
"""(person, kind of rule), or None if the role is vacant."""

STEP = timedelta(minutes=30)
UNCHANGED = timedelta(hours=3)
"""For how long after a clock change there is a clock that nobody has changed yet."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Wall:
    """The wall clock of one rotation, read every half hour. A handover happens once the clock has shown its time.

    With `"skipped": "unchanged clock"`, which no directory has, a skipped time comes when a clock shows it that nobody
    has put forward (RFC 5545, 3.3.5).
    """

    def __init__(self, rotation: Json) -> None:
        self.zone = ZoneInfo(rotation["zone"])
        self.members = rotation["members"]
        self.only: dict[str, str] | None = rotation.get("only")
        if "handovers" in rotation:
            self.handovers = [datetime.fromisoformat(text) for text in rotation["handovers"]]
        else:
            hours = {"weekly": 168, "daily": 24}.get(rotation["turns"]) or int(rotation["turns"].removesuffix("h"))
            first = datetime.fromisoformat(rotation["start"])
            self.handovers = [first + timedelta(hours=hours * turn) for turn in range(24 * 800 // hours)]
        self.latest = datetime(1, 1, 1)  # noqa: DTZ001 (a wall clock shows no zone)
        self.by_unchanged_clock = rotation.get("skipped") == "unchanged clock"
        self.happened = 0
        self.shown = self.latest

    def look(self, at: datetime) -> None:
        self.shown = self._shown(at)
        self.latest = max(self.latest, self.shown)
        while self.happened < len(self.handovers) and self._has_come(self.handovers[self.happened], at):
            self.happened += 1

    def person(self) -> str | None:
        if not self.happened or (self.only is not None and not self._open(self.only)):
            return None
        return str(self.members[(self.happened - 1) % len(self.members)])

    def _has_come(self, handover: datetime, at: datetime) -> bool:
        if not self.by_unchanged_clock:
            return handover <= self.latest
        return handover == self.shown or handover <= min(self.latest, self._shown(at - UNCHANGED) + UNCHANGED)

    def _shown(self, at: datetime) -> datetime:
        return at.astimezone(self.zone).replace(tzinfo=None, fold=0)

    def _open(self, only: dict[str, str]) -> bool:
        clock = f"{self.shown:%H:%M}"
        for days, windows in only.items():
            first, _, last = days.partition("-")
            if DAYS.index(first) <= self.shown.weekday() <= DAYS.index(last or first):
                for window in windows.split(","):
                    opens, _, closes = window.strip().partition("-")
                    if opens <= clock < closes:
                        return True
        return False


def walk(
    directory: Json, start: datetime, end: datetime, role: str, customers: Sequence[str | None]
) -> Iterator[tuple[datetime, list[Assigned]]]:
    """Yield (instant, who for each customer) for every half hour from `start` until before `end`."""
    walls = {name: Wall(rotation) for name, rotation in directory["rotations"].items()}
    at = start - timedelta(days=2)
    while at < end:
        for wall in walls.values():
            wall.look(at)
        if at >= start:
            assigned = [_assigned(directory, walls, at, role, customer) for customer in customers]
            yield at, [_covered(directory, found, at) for found in assigned]
        at += STEP


def _assigned(directory: Json, walls: dict[str, Wall], at: datetime, role: str, customer: str | None) -> Assigned:
    for wanted in [customer, None] if customer else [None]:
        for cover in directory["overrides"]:
            if cover.get("role") == role and cover.get("customer") == wanted and _applies(cover, at):
                return cover["person"], "override"
    for wanted in [customer, None] if customer else [None]:
        own = [entry for entry in directory["roles"][role] if entry.get("customer") == wanted and _applies(entry, at)]
        kind = "customer" if wanted else "general"
        for entry in own:
            if "person" in entry and "from" in entry and "to" in entry:
                return entry["person"], kind
        for entry in own:
            if "rotation" in entry and (person := walls[entry["rotation"]].person()):
                return person, kind
        for entry in own:
            if "person" in entry:
                return entry["person"], kind
    return None


def _covered(directory: Json, assigned: Assigned, at: datetime) -> Assigned:
    if assigned is None:
        return None
    for cover in directory["overrides"]:
        if cover.get("instead_of") == assigned[0] and _applies(cover, at):
            return _covered(directory, (cover["person"], "override"), at)
    return assigned


def _applies(entry: Json, at: datetime) -> bool:
    starts = "from" not in entry or _instant(entry["from"]) <= at
    return starts and ("to" not in entry or at < _instant(entry["to"]))


@cache
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)


def hours_after(
    zone: str, times: Sequence[datetime], hours: int, start: datetime, end: datetime
) -> dict[datetime, bool]:
    """For every half hour from `start` until before `end`: was one of the local `times` shown less than `hours` ago?

    The hours are counted on a stopwatch, which no clock change stops or puts back.
    """
    left, found = 0, {}
    waiting = sorted(times)
    at = start - timedelta(days=14)
    while at < end:
        left -= 1
        while waiting and waiting[0] <= at.astimezone(ZoneInfo(zone)).replace(tzinfo=None, fold=0):
            waiting.pop(0)
            left = hours * 2
        if at >= start:
            found[at] = left > 0
        at += STEP
    return found
