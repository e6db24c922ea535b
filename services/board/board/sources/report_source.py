"""What reports need from sla-timer and the escalator, by their APIs."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from tocsin.instants import Instant, render_instant

from board.domain.report_input import (
    ReportedAverage,
    ReportedClock,
    ReportedLadder,
    ReportedShare,
    ReportedTerms,
)
from board.errors import UpstreamError

GetJson = Callable[[str, str, str, Mapping[str, str]], Awaitable[Mapping[str, Any]]]
"""(service, tenant, path, query) to the JSON object of the response; raises UpstreamError."""
_PAGE: Final = "500"
_Model = TypeVar("_Model", bound=BaseModel)


class _CompliancePage(BaseModel):
    items: tuple[ReportedShare, ...]
    channels: tuple[ReportedAverage, ...]


class _OutcomePage(BaseModel):
    items: tuple[ReportedClock, ...]
    next_cursor: str | None
    complete_through: Instant | None


class _LadderPage(BaseModel):
    items: tuple[ReportedLadder, ...]
    next_cursor: str | None


@dataclass(frozen=True, slots=True)
class ReportSource:
    """The calls of a report, for a tenant and a customer (null: all). Every method raises UpstreamError."""

    get: GetJson
    tenant: str
    customer: str | None

    async def terms(self, at: datetime) -> ReportedTerms:
        """The terms in force at an instant."""
        return _parsed(ReportedTerms, await self._get("sla-timer", "/v1/terms", {"at": render_instant(at)}))

    async def compliance(
        self, begin: datetime, end: datetime
    ) -> tuple[Sequence[ReportedShare], Sequence[ReportedAverage]]:
        """The outcomes in `[begin, end)` by month, and the averages of channels by month."""
        query = _period("from", "to", begin, end) | {"group_by": "month"}
        page = _parsed(_CompliancePage, await self._get("sla-timer", "/v1/compliance", query))
        return page.items, page.channels

    async def outcomes(
        self, begin: datetime, end: datetime, *, ledger: bool
    ) -> tuple[list[ReportedClock], datetime | None]:
        """The clocks decided in `[begin, end)`, and the instant up to which none is missing, null if unknown."""
        query = _period("from", "to", begin, end) | {"ledger": str(ledger).lower(), "limit": _PAGE}
        page = _parsed(_OutcomePage, await self._get("sla-timer", "/v1/outcomes", query))
        through, found = page.complete_through, list(page.items)
        while page.next_cursor is not None:
            more = query | {"cursor": page.next_cursor}
            page = _parsed(_OutcomePage, await self._get("sla-timer", "/v1/outcomes", more))
            found += page.items
        return found, through

    async def ladders(self, begin: datetime, end: datetime) -> list[ReportedLadder]:
        """The ladder runs with a step in `[begin, end)`."""
        query = _period("step_from", "step_to", begin, end) | {"limit": _PAGE}
        page = _parsed(_LadderPage, await self._get("escalator", "/v1/escalations", query))
        found = list(page.items)
        while page.next_cursor is not None:
            more = query | {"cursor": page.next_cursor}
            page = _parsed(_LadderPage, await self._get("escalator", "/v1/escalations", more))
            found += page.items
        return found

    async def _get(self, service: str, path: str, query: Mapping[str, str]) -> Mapping[str, Any]:
        of_customer = {} if self.customer is None else {"customer": self.customer}
        return await self.get(service, self.tenant, path, {**query, **of_customer})


def _period(begin_name: str, end_name: str, begin: datetime, end: datetime) -> dict[str, str]:
    return {begin_name: render_instant(begin), end_name: render_instant(end)}


def _parsed(model: type[_Model], body: Mapping[str, Any]) -> _Model:
    try:
        return model.model_validate(body)
    except ValidationError as error:
        fields = ", ".join(".".join(map(str, one["loc"])) for one in error.errors()[:5])
        raise UpstreamError(f"A response for reports is not as expected: {fields}") from error
