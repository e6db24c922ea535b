"""History is imported in bounded batches: postponed tickets are posted again, rejected ones are reported."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import stamina
from tocsin_tools.client import StackClient
from tocsin_tools.errors import ApiError
from tocsin_tools.replay.history_import import BATCH_EVENTS, BATCH_TICKETS, ImportResult, batches, import_history
from tocsin_tools.replay.logged_ticket import LoggedTicket

RUN = {"api_key": "k", "urls": {"intake": "http://intake"}}
RECEIVED = "2026-06-08T12:00:00.000000Z"


def ticket(number: int, events: int = 0) -> LoggedTicket:
    event = {"type": "responded", "occurred_at": "2030-01-01T00:00:00.000000Z", "actor": "a"}
    body = {"external_id": f"Case {number}", "opened_at": "2012-01-10T08:00:00.000000Z", "severity": 1}
    return LoggedTicket(body | {"events": [event] * events}, [number])


class Intake:
    """Responds to each request with the next of `responses`: one status for all items, a list of statuses, "503" for
    the whole request, or None for a broken connection; 201 after the last.
    """

    def __init__(self, *responses: Any) -> None:
        self._responses = iter(responses)
        self.posted: list[list[str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        items = [item["external_id"] for item in json.loads(request.content)["tickets"]]
        self.posted.append(items)
        response = next(self._responses, 201)
        if response is None:
            raise httpx.ConnectError("gone")
        if response == "503":
            return httpx.Response(503)
        statuses = response if isinstance(response, list) else [response] * len(items)
        return httpx.Response(200, json={"results": [_result(*pair) for pair in zip(items, statuses, strict=True)]})


def _result(name: str, status: int) -> dict[str, Any]:
    if status in (200, 201):
        return {"status": status, "ticket": {"ticket_id": name, "received_at": RECEIVED}}
    problem = {"title": "Rejected", "errors": [{"field": "summary", "message": "is too long"}]}
    return {"status": status, "problem": problem}


@pytest.fixture(autouse=True)
def no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=12):
        yield


async def run_import(intake: Intake, *tickets: LoggedTicket) -> ImportResult:
    async with StackClient(RUN, httpx.MockTransport(intake)) as client:
        return await import_history(client, tickets)


async def test_only_postponed_tickets_are_posted_again() -> None:
    intake = Intake([201, 503, 200], [503], [201])
    result = await run_import(intake, ticket(1), ticket(2), ticket(3))
    assert intake.posted == [["Case 1", "Case 2", "Case 3"], ["Case 2"], ["Case 2"]]
    assert [(imported.id, imported.known) for imported in result.tickets] == [
        ("Case 1", False),
        ("Case 3", True),
        ("Case 2", False),
    ]
    assert result.rejected == []


async def test_a_rejected_ticket_is_reported_with_its_line_and_stops_no_other() -> None:
    result = await run_import(Intake([422, 201]), ticket(7), ticket(8))
    assert [(remark.line, remark.text) for remark in result.rejected] == [
        (7, "Case 7 was rejected (422): summary is too long")
    ]
    assert [imported.id for imported in result.tickets] == ["Case 8"]


@pytest.mark.parametrize("failure", [None, "503"])
async def test_a_failing_call_is_repeated(failure: str | None) -> None:
    result = await run_import(Intake(failure, failure, 201), ticket(1))
    assert [imported.id for imported in result.tickets] == ["Case 1"]


async def test_the_import_gives_up_on_an_intake_that_keeps_failing() -> None:
    with pytest.raises(ApiError, match="intake does not respond"):
        await run_import(Intake(*[None] * 100), ticket(1))
    with pytest.raises(ApiError, match="intake postpones history"):
        await run_import(Intake(*[503] * 100), ticket(1))


async def test_nothing_occurs_after_its_receipt() -> None:
    result = await run_import(Intake(201), ticket(1, events=1))
    (imported,) = result.tickets
    assert [fact["occurred_at"] for fact in imported.facts] == ["2012-01-10T08:00:00.000000Z", RECEIVED]


def test_batches_are_bounded_in_tickets_and_events_and_keep_the_order() -> None:
    few = [ticket(number) for number in range(2 * BATCH_TICKETS + 1)]
    assert [len(batch) for batch in batches(few)] == [BATCH_TICKETS, BATCH_TICKETS, 1]
    full = [ticket(1, BATCH_EVENTS - 1), ticket(2, 2), ticket(3, BATCH_EVENTS + 1), ticket(4)]
    assert [[each.lines[0] for each in batch] for batch in batches(full)] == [[1], [2], [3], [4]]
    assert [each for batch in batches(few) for each in batch] == few
