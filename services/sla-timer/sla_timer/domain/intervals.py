"""Time that does not count: the pauses of a ticket and the gaps in which it was closed (RULES 4)."""

from bisect import bisect_left, bisect_right

from tocsin.business_time import Measure


class Excluded:
    """Half-open intervals `[start, end)` in order, disjoint; the last may still be open. Instants in microseconds.

    Sums are kept per measure and grow with the intervals, so that a due is found by bisection however many pauses
    a ticket has had. `changes` counts them: as many are the same intervals.
    """

    __slots__ = ("_sums", "changes", "ends", "open_since", "starts")

    def __init__(self) -> None:
        self.starts: list[int] = []
        self.ends: list[int] = []
        self.open_since: int | None = None
        self.changes = 0
        self._sums: dict[Measure, _Sums] = {}

    def begin(self, at: int) -> None:
        """Time stops counting at `at`."""
        self.changes += 1
        self.open_since = at
        self.starts.append(at)

    def end(self, at: int) -> None:
        """Time counts again from `at`. An interval of no length leaves no trace."""
        self.changes += 1
        if at == self.open_since:
            self.starts.pop()
            for sums in self._sums.values():
                del sums.net_at_start[len(self.starts) :]
        else:
            self.ends.append(at)
        self.open_since = None

    def due(self, measure: Measure, start: int, duration: int) -> int | None:
        """The earliest instant at which `measure` has counted `duration` from `start` outside the intervals.

        None while the open interval makes it unknown. Time used up exactly where an interval begins is due there.
        """
        if not self.starts:
            return max(start, measure.instant(measure.position(start) + duration))
        sums = self._summed(measure)
        first = bisect_right(self.ends, start)
        net = measure.position(start) - self._before(sums, measure, first, start) + duration
        index = bisect_left(sums.net_at_start, net, lo=first)
        if index > len(self.ends):
            return None
        return max(start, measure.instant(net + sums.before[index]))

    def net(self, measure: Measure, start: int, end: int) -> int:
        """What `measure` counted in `[start, end)` outside the intervals."""
        gross = measure.position(end) - measure.position(start)
        if not self.starts:
            return gross
        sums = self._summed(measure)
        at_start = self._before(sums, measure, bisect_right(self.ends, start), start)
        return gross - (self._before(sums, measure, bisect_right(self.ends, end), end) - at_start)

    def between(self, start: int, end: int) -> list[tuple[int, int]]:
        """The parts of the intervals that lie in `[start, end)`; an open one reaches to `end`."""
        ends = self.ends if self.open_since is None else [*self.ends, end]
        return [(max(a, start), min(b, end)) for a, b in zip(self.starts, ends, strict=True) if a < end and b > start]

    def _before(self, sums: "_Sums", measure: Measure, index: int, at: int) -> int:
        """What was excluded before `at`, `index` being the first interval that ends after it."""
        excluded = sums.before[index]
        if index < len(self.starts) and self.starts[index] < at:
            excluded += measure.position(at) - measure.position(self.starts[index])
        return excluded

    def _summed(self, measure: Measure) -> "_Sums":
        sums = self._sums.get(measure)
        if sums is None:
            sums = self._sums[measure] = _Sums()
        before, net_at_start = sums.before, sums.net_at_start
        if len(net_at_start) == len(self.starts) and len(before) > len(self.ends):
            return sums
        for index in range(len(before) - 1, len(self.ends)):
            before.append(before[index] + measure.position(self.ends[index]) - measure.position(self.starts[index]))
        for index in range(len(net_at_start), len(self.starts)):
            net_at_start.append(measure.position(self.starts[index]) - before[index])
        return sums


class _Sums:
    """`before[i]`: what intervals 0 to i-1 excluded on a measure; `net_at_start[i]`: its net counter where i begins."""

    __slots__ = ("before", "net_at_start")

    def __init__(self) -> None:
        self.before: list[int] = [0]
        self.net_at_start: list[int] = []
