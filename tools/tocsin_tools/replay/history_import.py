"""Logged tickets through REST, as history: `POST /v1/tickets/batch`, until each has its answer."""

import asyncio
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from tocsin_local.calls import Calls, back_off
from tocsin_local.errors import LocalError
from tocsin_local.replay.case import LoggedTicket, Remark

BATCH_TICKETS: Final = 100
BATCH_EVENTS: Final = 1_000
POSTPONED: Final = 503
PATIENCE: Final = 60
"""So many times in a row may all of a batch be put off, with up to 5 s between them, before intake is given up."""


@dataclass(frozen=True, slots=True)
class Posted:
    """A ticket that intake has: its answer, and whether it had it before."""

    ticket: LoggedTicket
    answer: Mapping[str, Any]
    known: bool

    @property
    def id(self) -> str:
        return str(self.answer["ticket_id"])

    @property
    def facts(self) -> list[dict[str, Any]]:
        """Its facts as a simulation takes them; nothing occurs after its receipt (RULES, introduction)."""
        received_at: str = self.answer["received_at"]
        return [fact | {"occurred_at": min(fact["occurred_at"], received_at)} for fact in self.ticket.facts]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of all tickets. `put_off` counts the answers 503, after which a ticket was posted again."""

    posted: Sequence[Posted]
    refused: Sequence[Remark]
    put_off: int


async def post_history(calls: Calls, tickets: Sequence[LoggedTicket], advance: Callable[[int], None]) -> Taken:
    """Posts all tickets in bounded batches; `advance` gets how many rows of the log each batch settled.

    Raises LocalError where intake does not answer, or goes on to put history off.
    """
    posted: list[Posted] = []
    refused: list[Remark] = []
    put_off = 0
    for batch in batches(tickets):
        waiting, tries = list(batch), 0
        while waiting:
            answer = await calls.post("/v1/tickets/batch", {"tickets": [ticket.body for ticket in waiting]})
            later: list[LoggedTicket] = []
            for ticket, result in zip(waiting, answer["results"], strict=True):
                if result["status"] == POSTPONED:
                    later.append(ticket)
                elif "ticket" in result:
                    posted.append(Posted(ticket, result["ticket"], known=result["status"] == 200))
                else:
                    refused.append(Remark(ticket.lines[0], _refusal(ticket, result)))
            if later:
                tries = 0 if len(later) < len(waiting) else tries + 1
                put_off += len(later)
                if tries > PATIENCE:
                    raise LocalError("intake does not take history: too much waits to be published. Is Kafka up?")
                await asyncio.sleep(back_off(tries))
            waiting = later
        advance(sum(len(ticket.lines) for ticket in batch))
    return Taken(posted, refused, put_off)


def batches(tickets: Iterable[LoggedTicket]) -> Iterator[list[LoggedTicket]]:
    """The tickets in their order, bounded in number and in events; a ticket is never divided."""
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


def _refusal(ticket: LoggedTicket, result: Mapping[str, Any]) -> str:
    problem = result["problem"]
    fields = [f"{error['field']} {error['message']}" for error in problem.get("errors") or ()]
    why = "; ".join(fields) or problem.get("detail") or problem["title"]
    return f"{ticket.body['external_id']} was refused ({result['status']}): {why}"
