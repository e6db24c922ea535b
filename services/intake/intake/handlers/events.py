"""Taking in what happened to a ticket."""

from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncConnection
from tocsin.runtime.problems import Problem

from intake.handlers.desk import Desk, TakenEvent, fact_of, unknown_ticket, workaround_refused
from intake.handlers.publishing import changed, too_large
from intake.requests import EventRequest
from intake.standing import TELLING, Standing, impossible_workarounds, standing
from intake.store import Store


async def take_event(
    desk: Desk, connection: AsyncConnection, tenant: str, ticket: UUID, request: EventRequest, made_id: str
) -> TakenEvent:
    """Take one further fact in; `made_id` is its event id where the request has none. Raises Problem 404, 409, 413."""
    store = Store(connection)
    locked = await store.lock(tenant, ticket)
    if locked is None:
        raise unknown_ticket()
    fact = fact_of(request, locked.number, request.event_id or made_id, desk.business(locked.clock))
    stands: Standing | None = None
    if fact.type in TELLING:
        known = [*await store.telling_facts(ticket), fact]
        if fact in impossible_workarounds(known):
            if earlier := await _earlier(store, ticket, fact.event_id, request):
                return earlier
            raise workaround_refused()
        stands = standing(known)
    if not await store.add_fact(ticket, fact, request.digest(), stands):
        earlier = await _earlier(store, ticket, fact.event_id, request)
        assert earlier is not None  # the row that was in the way is visible to a statement after it
        return earlier
    event = changed(tenant, ticket, fact)
    if refusal := too_large([event]):
        raise refusal
    await desk.outbox.add(connection, [event], locked.clock)
    return TakenEvent(ticket, fact, created=True)


async def _earlier(store: Store, ticket: UUID, event_id: str, request: EventRequest) -> TakenEvent | None:
    """The fact that this event id brought before. Raises Problem 409 if it was another one."""
    found = await store.fact(ticket, event_id)
    if found is None:
        return None
    fact, digest = found
    if digest != request.digest():
        raise Problem(409, "This event_id of the ticket is known with another body.")
    return TakenEvent(ticket, fact, created=False)
