"""The escalator's calls: which ladders run, who was told, what comes next."""

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Depends, Query
from pydantic import BaseModel
from sqlalchemy.ext.asyncio import AsyncEngine
from tocsin.directory import Directory
from tocsin.events import EndReason, EscalationReason, UpcomingStep
from tocsin.instants import Instant
from tocsin.runtime.http.api_keys import TICKETS_READ, Caller
from tocsin.runtime.http.authentication import require
from tocsin.runtime.http.problems import Problem
from tocsin.sources.directory_file import DirectoryFile

from escalator import store
from escalator.domain.tiers import Case, ExhaustedReason, LadderState
from escalator.domain.vacancies import vacancies


class ToldStep(BaseModel):
    """A step that found its tier. `cycle` and `run` say in which part of a kept ladder; `skipped` are the numbers of
    vacant tiers. `notification_id` null: it was historic, nobody was addressed.
    """

    cycle: int
    run: int
    step: int
    tier: int
    role: str
    at: Instant
    reason: EscalationReason
    skipped: tuple[int, ...]
    voided: bool
    notification_id: UUID | None


class NextStep(BaseModel):
    """What follows if nothing else happens. `tier` null: nobody is left above, the ladder will be exhausted."""

    at: Instant
    tier: int | None
    role: str | None


class Escalation(BaseModel):
    """The ladder of one cycle and run. `tier`, `step` and `reason` are those last told; null before the first step.

    `told` begins with the steps of the cycles that a reopen kept the ladder from. `skipped`: the vacant tiers that were
    found when nobody was left above. `next` null: unknown, or nothing follows.
    """

    ticket_id: UUID
    cycle: int
    run: int
    kept: bool
    state: LadderState
    tier: int | None
    step: int | None
    reason: EscalationReason | None
    told: tuple[ToldStep, ...]
    next: NextStep | None
    exhausted: ExhaustedReason | None
    skipped: tuple[int, ...]
    ended_at: Instant | None
    end_reason: EndReason | None


class Escalations(BaseModel):
    """A page. `next_cursor` null: there are no more."""

    items: tuple[Escalation, ...]
    next_cursor: str | None


Reader = Annotated[Caller, Depends(require(TICKETS_READ))]


def router(reader: AsyncEngine, directory: DirectoryFile) -> APIRouter:
    """The routes, reading by `reader`."""
    routes = APIRouter(prefix="/v1", tags=["escalations"])

    @routes.get("/escalations", summary="Ladders, the newest first")
    async def escalations(
        caller: Reader,
        ticket_id: UUID | None = None,
        customer: Annotated[str | None, Query(max_length=10_000, pattern=r"^[^\x00]*$")] = None,
        tier: Annotated[int | None, Query(ge=1, le=1000, description="the tier last told")] = None,
        state: LadderState | None = None,
        limit: Annotated[int, Query(ge=1, le=500)] = 100,
        cursor: Annotated[str | None, Query(pattern=r"^[0-9]{1,18}$")] = None,
    ) -> Escalations:
        which = store.Filter(
            caller.tenant, ticket_id, customer, tier, state, int(cursor) if cursor is not None else None
        )
        async with reader.connect() as connection:
            found = await store.listed(connection, which, limit + 1)
            page = found[:limit]
            cases = await store.load(connection, {entry.ticket_id for entry in page})
        now = directory.current()
        return Escalations(
            items=tuple(
                _shown(entry.ticket_id, cases[entry.ticket_id], entry.key, now, entry.customer_id) for entry in page
            ),
            next_cursor=str(page[-1].position) if len(found) > limit else None,
        )

    @routes.get("/tickets/{ticket_id}/escalation", summary="The ticket's current ladder; 404 where there is none")
    async def escalation(ticket_id: UUID, caller: Reader) -> Escalation:
        async with reader.connect() as connection:
            found = await store.current(connection, caller.tenant, ticket_id)
            if found is None:
                raise Problem(404, "This ticket has no ladder: nothing of it has been escalated.")
            cases = await store.load(connection, {ticket_id})
        return _shown(ticket_id, cases[ticket_id], found.key, directory.current(), found.customer_id)

    return routes


def _shown(
    ticket_id: UUID, case: Case, key: tuple[int, int], directory: Directory | None, customer_id: str
) -> Escalation:
    ladder = case.ladders[key]
    told = tuple(
        ToldStep(
            cycle=part.cycle,
            run=part.run,
            step=step.step,
            tier=step.tier.number,
            role=step.tier.role,
            at=step.at,
            reason=step.reason,
            skipped=tuple(tier.number for tier in step.skipped),
            voided=step.voided,
            notification_id=step.notification,
        )
        for part, step in case.told(ladder)
    )
    return Escalation(
        ticket_id=ticket_id,
        cycle=ladder.cycle,
        run=ladder.run,
        kept=ladder.kept,
        state=ladder.state,
        tier=told[-1].tier if told else None,
        step=told[-1].step if told else None,
        reason=told[-1].reason if told else None,
        told=told,
        next=_next(ladder.upcoming(vacancies(directory, customer_id))),
        exhausted=ladder.exhausted,
        skipped=tuple(tier.number for tier in ladder.skipped),
        ended_at=ladder.ended_at,
        end_reason=ladder.end_reason,
    )


def _next(upcoming: UpcomingStep | None) -> NextStep | None:
    if upcoming is None:
        return None
    tier = upcoming.tier
    return NextStep(at=upcoming.at, tier=tier.number if tier else None, role=tier.role if tier else None)
