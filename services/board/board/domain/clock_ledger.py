"""The ledger of a ticket's clocks, as sla-timer's `GET /v1/tickets/{ticket_id}/clocks` returns it. Pure."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import Field
from tocsin.events import ClockName, FrozenModel
from tocsin.instants import Instant

IntervalReason = Literal["counted", "paused", "closed", "outside business hours"]


class LedgerInterval(FrozenModel):
    """A stretch of time, and whether the clock counted in it."""

    begin: Instant = Field(alias="from")
    end: Instant = Field(alias="to")
    reason: IntervalReason

    @property
    def length(self) -> timedelta:
        return self.end - self.begin


class ClockAccount(FrozenModel):
    """Why the deadline of a clock is what it is. `intervals` follow each other from `started_at` on, without gaps."""

    cycle: int
    name: ClockName = Field(alias="clock")
    started_at: Instant
    target: str
    target_seconds: float
    measure: str
    due_at: Instant | None
    counted_seconds: float
    intervals: tuple[LedgerInterval, ...]
    truncated: bool
    """Whether there are more intervals than are listed."""

    @property
    def counted(self) -> timedelta:
        """The time that the clock counted, also in intervals that are not listed."""
        return timedelta(microseconds=round(self.counted_seconds * 1_000_000))

    @property
    def listed_to(self) -> datetime:
        """The end of the last interval that is listed."""
        return self.intervals[-1].end if self.intervals else self.started_at


class TicketLedger(FrozenModel):
    """The accounts of all clocks of a ticket, sorted by cycle, then response, resolution, answer."""

    accounts: tuple[ClockAccount, ...] = Field(alias="ledger")

    def of(self, cycle: int, name: ClockName) -> ClockAccount | None:
        """The account of that clock, or None."""
        return next((account for account in self.accounts if (account.cycle, account.name) == (cycle, name)), None)
