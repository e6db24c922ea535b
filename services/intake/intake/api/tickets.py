"""`POST /v1/tickets`."""

from fastapi import APIRouter
from tocsin.runtime.http import JsonResponse
from tocsin.runtime.problems import Problem

from intake.api.answers import TicketAnswer, status_of, ticket_answer
from intake.api.bodies import JsonBody, described
from intake.api.front import Front, IdempotencyKey, MayWrite
from intake.handlers import claim, take_tickets
from intake.requests import TicketRequest


def add(routes: APIRouter, front: Front) -> None:
    """Add the call."""

    @routes.post(
        "",
        summary="Post a ticket",
        status_code=201,
        responses={201: {"model": TicketAnswer}, 200: {"model": TicketAnswer, "description": "Known already"}},
        openapi_extra=described(TicketRequest),
    )
    async def post_ticket(caller: MayWrite, body: JsonBody, idempotency_key: IdempotencyKey = None) -> JsonResponse:
        """A ticket of a PSA tool. The same `(source, external_id)` with an equal body is 200 with the first answer."""
        request = front.read_ticket(TicketRequest, body)
        try:
            async with front.writer.begin() as connection:
                await claim(connection, caller.key_id, idempotency_key, b"ticket" + request.digest())
                (outcome,) = await take_tickets(front.desk, connection, caller.tenant, [request])
                if isinstance(outcome, Problem):
                    raise outcome  # so that what is refused uses no key up
        except Problem as problem:
            front.told(request, problem)
            raise
        front.told(request, outcome)
        return JsonResponse(ticket_answer(outcome.ticket), status_of(outcome))
