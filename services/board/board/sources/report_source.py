"""The calls of sla-timer's and the escalator's APIs that a report is computed from."""

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
_LIMIT: Final = "500"
_Model = TypeVar("_Model", bound=BaseModel)


class _CompliancePage(BaseModel):
    items: tuple[ReportedShare, ...]
    channels: tuple[ReportedAverage, ...]


class _Page(BaseModel):
    next_cursor: str | None


_PageModel = TypeVar("_PageModel", bound=_Page)


class _OutcomePage(_Page):
    items: tuple[ReportedClock, ...]
    complete_through: Instant | None


class _LadderPage(_Page):
    items: tuple[ReportedLadder, ...]


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
        query = _period("from", "to", begin, end) | {"ledger": str(ledger).lower()}
        pages = await self._pages(_OutcomePage, "sla-timer", "/v1/outcomes", query)
        return [clock for page in pages for clock in page.items], pages[0].complete_through

    async def ladders(self, begin: datetime, end: datetime) -> list[ReportedLadder]:
        """The ladder runs with a step in `[begin, end)`."""
        query = _period("step_from", "step_to", begin, end)
        pages = await self._pages(_LadderPage, "escalator", "/v1/escalations", query)
        return [ladder for page in pages for ladder in page.items]

    async def _pages(
        self, model: type[_PageModel], service: str, path: str, query: Mapping[str, str]
    ) -> list[_PageModel]:
        """All pages of a list, at least one."""
        pages = [_parsed(model, await self._get(service, path, {**query, "limit": _LIMIT}))]
        while (cursor := pages[-1].next_cursor) is not None:
            pages.append(_parsed(model, await self._get(service, path, {**query, "limit": _LIMIT, "cursor": cursor})))
        return pages

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
