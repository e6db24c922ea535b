"""`POST /v1/tickets`."""

from fastapi import APIRouter
from tocsin.runtime.http.problems import Problem
from tocsin.runtime.http.responses import JsonResponse

from intake.api.dependencies import Front, IdempotencyKey, MayWrite
from intake.api.json_body import JsonBody, described
from intake.api.schemas import TicketAnswer, status_of, ticket_answer
from intake.domain.ticket_request import TicketRequest
from intake.handlers import TakenEvent, TicketAsked, held_key


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
        held = held_key(caller.key_id, idempotency_key) if idempotency_key is not None else None
        try:
            outcome = await front.take(TicketAsked(caller.tenant, request, held))
        except Problem as problem:
            front.told(request, problem)
            raise
        assert not isinstance(outcome, TakenEvent)
        front.told(request, outcome)
        if isinstance(outcome, Problem):
            raise outcome
        return JsonResponse(ticket_answer(outcome.ticket), status_of(outcome))
