"""Store what several callers request at the same time, in one transaction."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from hashlib import sha256

from sqlalchemy.ext.asyncio import AsyncConnection

from intake.domain.ticket_request import TicketRequest
from intake.errors import IdempotencyKeyInUseError, IntakeError
from intake.handlers.context import IngestContext, IngestedTicket, RecordedEvent
from intake.handlers.events import RecordEvent, record_events
from intake.handlers.idempotency import bind_keys
from intake.handlers.tickets import CreateTicket, create_tickets
from intake.store.idempotency import KeyBinding, release_keys

Command = CreateTicket | RecordEvent
Outcome = IngestedTicket | RecordedEvent | IntakeError


async def ingest(context: IngestContext, connection: AsyncConnection, commands: Sequence[Command]) -> list[Outcome]:
    """Execute commands: one outcome each, in order. A rejected command changes nothing and keeps its key free.

    Every transaction locks in the same order, which avoids deadlocks: Idempotency-Keys, new tickets, existing tickets,
    each by id. Raises IdempotencyKeyInUseError if two commands have the same key: they must not share a transaction.
    """
    requested = {command.idempotency_key: _binding(command) for command in commands if command.idempotency_key}
    if len(requested) < sum(command.idempotency_key is not None for command in commands):
        raise IdempotencyKeyInUseError
    bindings = await bind_keys(connection, requested)

    outcomes: dict[int, Outcome] = {}
    tickets: dict[str, dict[int, TicketRequest]] = defaultdict(dict)  # by tenant and index
    events: dict[int, RecordEvent] = {}
    for index, command in enumerate(commands):
        binding = bindings[command.idempotency_key] if command.idempotency_key else None
        if isinstance(binding, IntakeError):
            outcomes[index] = binding
        elif isinstance(command, CreateTicket):
            tickets[command.tenant][index] = command.request
        elif binding is not None and binding.event_id is not None:
            events[index] = replace(command, generated_id=binding.event_id)
        else:
            events[index] = command
    for tenant, requests in sorted(tickets.items()):
        created = await create_tickets(context, connection, tenant, list(requests.values()))
        outcomes |= zip(requests, created, strict=True)
    if events:
        outcomes |= zip(events, await record_events(context, connection, list(events.values())), strict=True)

    unused = [
        command.idempotency_key
        for index, command in enumerate(commands)
        if command.idempotency_key
        and isinstance(outcomes[index], IntakeError)
        and bindings[command.idempotency_key] is requested[command.idempotency_key]
    ]
    await release_keys(connection, unused)
    return [outcomes[index] for index in range(len(commands))]


def _binding(command: Command) -> KeyBinding:
    """The binding of the command's Idempotency-Key: to the request and, for an event, its generated event id."""
    if isinstance(command, CreateTicket):
        return KeyBinding(sha256(b"ticket" + command.request.digest()).digest())
    request = b"event" + command.ticket_id.bytes + command.request.digest()
    return KeyBinding(sha256(request).digest(), command.generated_id)
