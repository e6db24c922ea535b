"""Who is on call, told by somebody who looks at the clocks on the walls each half hour. Slow; shares no code."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import cache
from typing import Any
from zoneinfo import ZoneInfo

Json = dict[str, Any]
Told = tuple[str, str] | None
"""(person, which kind of rule), or nobody."""

STEP = timedelta(minutes=30)
FORGOTTEN = timedelta(hours=3)
"""For how long after a change of the clocks there is one that nobody put forward."""
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")


class Wall:
    """One rotation, looked at half hour by half hour. A handover has happened once its time was ever on the wall.

    With `"left_out": "before"`, which no directory has, a time that the clocks jump over comes when a clock shows it
    that nobody put forward (RFC 5545, 3.3.5).
    """

    def __init__(self, written: Json) -> None:
        self.zone = ZoneInfo(written["zone"])
        self.members = written["members"]
        self.only: dict[str, str] | None = written.get("only")
        if "handovers" in written:
            self.handovers = [datetime.fromisoformat(text) for text in written["handovers"]]
        else:
            hours = {"weekly": 168, "daily": 24}.get(written["turns"]) or int(written["turns"].removesuffix("h"))
            first = datetime.fromisoformat(written["start"])
            self.handovers = [first + timedelta(hours=hours * turn) for turn in range(24 * 800 // hours)]
        self.latest = datetime(1, 1, 1)  # noqa: DTZ001 (what a wall shows has no zone)
        self.unturned = written.get("left_out") == "before"
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
        if not self.unturned:
            return handover <= self.latest
        return handover == self.shown or handover <= min(self.latest, self._shown(at - FORGOTTEN) + FORGOTTEN)

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
    written: Json, start: datetime, end: datetime, role: str, customers: Sequence[str | None]
) -> Iterator[tuple[datetime, list[Told]]]:
    """(instant, who for each customer) for every half hour from `start` until before `end`."""
    walls = {name: Wall(rotation) for name, rotation in written["rotations"].items()}
    at = start - timedelta(days=2)
    while at < end:
        for wall in walls.values():
            wall.look(at)
        if at >= start:
            yield at, [_replaced(written, _chosen(written, walls, at, role, own), at) for own in customers]
        at += STEP


def _chosen(written: Json, walls: dict[str, Wall], at: datetime, role: str, customer: str | None) -> Told:
    for wanted in [customer, None] if customer else [None]:
        for cover in written["overrides"]:
            if cover.get("role") == role and cover.get("customer") == wanted and _holds(cover, at):
                return cover["person"], "override"
    for wanted in [customer, None] if customer else [None]:
        own = [entry for entry in written["roles"][role] if entry.get("customer") == wanted and _holds(entry, at)]
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


def _replaced(written: Json, chosen: Told, at: datetime) -> Told:
    if chosen is None:
        return None
    for cover in written["overrides"]:
        if cover.get("instead_of") == chosen[0] and _holds(cover, at):
            return _replaced(written, (cover["person"], "override"), at)
    return chosen


def _holds(entry: Json, at: datetime) -> bool:
    starts = "from" not in entry or _instant(entry["from"]) <= at
    return starts and ("to" not in entry or at < _instant(entry["to"]))


@cache
def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text)
