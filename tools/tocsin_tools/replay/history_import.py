"""Imports logged tickets as history through `POST /v1/tickets/batch`."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import stamina

from tocsin_tools.client import StackClient
from tocsin_tools.errors import ApiError
from tocsin_tools.replay.logged_ticket import LoggedTicket, Remark

BATCH_TICKETS: Final = 100
BATCH_EVENTS: Final = 1_000
POSTPONED: Final = 503
ATTEMPTS: Final = 60
"""Attempts to import one batch, up to 5 s apart, while intake postpones history."""


@dataclass(frozen=True, slots=True)
class ImportedTicket:
    """A ticket that intake has stored: its response, and whether it was known before."""

    ticket: LoggedTicket
    stored: Mapping[str, Any]
    known: bool

    @property
    def id(self) -> str:
        return str(self.stored["ticket_id"])

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Its facts in the form of `simulate`; none occurs after its receipt (docs/rules.md#0-3)."""
        received_at: str = self.stored["received_at"]
        return [fact | {"occurred_at": min(fact["occurred_at"], received_at)} for fact in self.ticket.facts]


@dataclass
class ImportResult:
    """The tickets that intake has stored, and remarks on those it rejected."""

    tickets: list[ImportedTicket] = field(default_factory=list)
    rejected: list[Remark] = field(default_factory=list)


class _PostponedError(Exception):
    """Intake postpones history while its outbox is long."""


async def import_history(client: StackClient, tickets: Sequence[LoggedTicket]) -> ImportResult:
    """Post all tickets in bounded batches. Raises ApiError if intake does not respond, or keeps postponing history."""
    result = ImportResult()
    for batch in batches(tickets):
        left = batch
        try:
            async for attempt in stamina.retry_context(
                on=_PostponedError, attempts=ATTEMPTS, timeout=None, wait_initial=0.25, wait_max=5.0
            ):
                with attempt:
                    left = await _post(client, left, result)
                    if left:
                        raise _PostponedError
        except _PostponedError as error:
            raise ApiError("intake postpones history: its outbox is too long. Is Kafka running?") from error
    return result


def batches(tickets: Iterable[LoggedTicket]) -> Iterator[list[LoggedTicket]]:
    """The tickets in order, in batches bounded by tickets and by events; a ticket is never divided."""
    batch: list[LoggedTicket] = []
    events = 0
    for ticket in tickets:
        more = len(ticket.body["events"])
        if batch and (len(batch) == BATCH_TICKETS or events + more > BATCH_EVENTS):
            yield batch
            batch, events = [], 0
        batch.append(ticket)
        events += more
    if batch:
        yield batch


async def _post(client: StackClient, batch: Sequence[LoggedTicket], result: ImportResult) -> list[LoggedTicket]:
    """Post the tickets, add them to `result`, and return those that intake postponed."""
    body = {"tickets": [ticket.body for ticket in batch]}
    response = await client.post("intake", "/v1/tickets/batch", body)
    postponed = []
    for ticket, item in zip(batch, response["results"], strict=True):
        if item["status"] == POSTPONED:
            postponed.append(ticket)
        elif "ticket" in item:
            result.tickets.append(ImportedTicket(ticket, item["ticket"], known=item["status"] == 200))
        else:
            result.rejected.append(Remark(ticket.lines[0], _rejection(ticket, item)))
    return postponed


def _rejection(ticket: LoggedTicket, item: Mapping[str, Any]) -> str:
    problem = item["problem"]
    fields = [f"{error['field']} {error['message']}" for error in problem.get("errors") or ()]
    reason = "; ".join(fields) or problem.get("detail") or problem["title"]
    return f"{ticket.body['external_id']} was rejected ({item['status']}): {reason}"
