"""Spans of time that do not overlap, and which of them holds an instant."""

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator
from datetime import datetime
from itertools import pairwise
from typing import Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)


class IntervalIndex(Generic[Key]):
    """(key, from, until before, index) of things of which each key has at most one at a time."""

    def __init__(self, given: Iterable[tuple[Key, datetime, datetime, int]]) -> None:
        spans: dict[Key, list[tuple[datetime, datetime, int]]] = defaultdict(list)
        for key, starts_at, ends_at, index in given:
            spans[key].append((starts_at, ends_at, index))
        self._spans = {key: sorted(found) for key, found in spans.items()}

    def at(self, key: Key, at: datetime) -> int | None:
        """The index of the key's span that holds the instant; None: there is none."""
        spans = self._spans.get(key, ())
        row = bisect_right(spans, at, key=lambda span: span[0]) - 1
        return spans[row][2] if row >= 0 and at < spans[row][1] else None

    def overlapping(self) -> Iterator[tuple[int, int]]:
        """The indices of neighbours, the earlier first, that hold an instant both."""
        for spans in self._spans.values():
            for (_, ends_at, first), (starts_at, _, second) in pairwise(spans):
                if starts_at < ends_at:
                    yield first, second
