"""Who holds a role over a stretch of time, and where nobody does. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from tocsin.directory.model import Directory, Holder


@dataclass(frozen=True, slots=True)
class Shift:
    """A stretch of time, from an instant until before another, with one holder by one rule; None: vacant."""

    starts_at: datetime
    ends_at: datetime
    holder: Holder | None


def compute_shifts(
    directory: Directory, role: str, customer_id: str | None, start: datetime, end: datetime
) -> Iterator[Shift]:
    """What fills the time from `start` until before `end`, in order; neighbours differ in person or rule."""
    begun, holder = start, directory.holder(role, customer_id, start)
    for at in directory.edges(role, customer_id, start, end):
        other = directory.holder(role, customer_id, at)
        if other != holder:
            yield Shift(begun, at, holder)
            begun, holder = at, other
    yield Shift(begun, end, holder)


def find_gap(directory: Directory, role: str, start: datetime, end: datetime) -> Shift | None:
    """The first stretch between two instants in which nobody holds the role for customers without a holder of their
    own; None: somebody always does.
    """
    return next((shift for shift in compute_shifts(directory, role, None, start, end) if shift.holder is None), None)
