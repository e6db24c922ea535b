"""Intervals of time that do not count: a ticket's pauses, and the times in which it was closed. Pure."""

from bisect import bisect_left, bisect_right

from tocsin.business_time import Measure


class ExcludedIntervals:
    """Half-open intervals `[start, end)`, in order and disjoint; the last one may be open. Instants in microseconds.

    Sums are kept per measure and grow with the intervals, so a deadline is found by bisection however many pauses a
    ticket has had. `version` counts the changes: with an equal count, the intervals are equal.
    """

    __slots__ = ("_sums", "ends", "open_since", "starts", "version")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.open_since: int | None = None
        self.version = 0
        self._sums: dict[Measure, _Sums] = {}

    def begin(self, at: int) -> None:
        """Time stops counting at `at`."""
        self.version += 1
        self.open_since = at
        self.starts.append(at)

    def end(self, at: int) -> None:
        """Time counts again from `at`. An interval without length leaves no trace."""
        self.version += 1
        if at == self.open_since:
            self.starts.pop()
            for sums in self._sums.values():
                del sums.net_at_start[len(self.starts) :]
        else:
            self.ends.append(at)
        self.open_since = None

    def counter(self, measure: Measure, at: int) -> int:
        """What `measure` counts outside the intervals, from a fixed anchor up to `at`."""
        position = measure.position(at)
        if not self.starts:
            return position
        sums = self._sums.get(measure)
        if sums is None or sums.version != self.version:
            sums = self._extend_sums(measure, sums)
        index = bisect_right(self.ends, at)  # that of the first interval that ends after `at`
        if index < len(self.starts) and self.starts[index] < at:
            position = measure.position(self.starts[index])
        return position - sums.before[index]

    def reached_at(self, measure: Measure, counter: int, *, since: int) -> int | None:
        """The earliest instant, `since` or later, at which the counter shows `counter`; None while it is unknown.

        Time used up exactly at the start of an interval is due there (docs/rules.md#4-3).
        """
        return self.known(self.expected_at(measure, counter, since=since))

    def known(self, at: int) -> int | None:
        """The instant, or None if the open interval began before it and so makes it unknown."""
        return None if self.open_since is not None and at > self.open_since else at

    def expected_at(self, measure: Measure, counter: int, *, since: int) -> int:
        """As `reached_at`, but as if the open interval had not begun."""
        if not self.starts:
            return max(since, measure.instant(counter))
        sums = self._sums.get(measure)
        if sums is None or sums.version != self.version:
            sums = self._extend_sums(measure, sums)
        index = bisect_left(sums.net_at_start, counter, lo=bisect_right(self.ends, since))
        index = min(index, len(self.ends))
        return max(since, measure.instant(counter + sums.before[index]))

    def _extend_sums(self, measure: Measure, sums: "_Sums | None") -> "_Sums":
        """The sums on this measure up to the current intervals; `sums` are those known so far."""
        if sums is None:
            sums = self._sums[measure] = _Sums()
        before, net_at_start = sums.before, sums.net_at_start
        for index in range(len(before) - 1, len(self.ends)):
            before.append(before[index] + measure.position(self.ends[index]) - measure.position(self.starts[index]))
        for index in range(len(net_at_start), len(self.starts)):
            net_at_start.append(measure.position(self.starts[index]) - before[index])
        sums.version = self.version
        return sums


class _Sums:
    """`before[i]`: what intervals 0 to i-1 excluded on a measure; `net_at_start[i]`: its net counter where i begins.

    `version` is that of the intervals that are summed.
    """

    __slots__ = ("before", "net_at_start", "version")

    def __init__(self) -> None:
        self.before: list[int] = [0]
        self.net_at_start: list[int] = []
        self.version = -1
