"""History in bounded batches: what is put off is posted again, what is refused is told."""

import json
from typing import Any

import httpx
import pytest
from tocsin_local import calls as calls_module
from tocsin_local.calls import Calls
from tocsin_local.errors import LocalError
from tocsin_local.replay import posting
from tocsin_local.replay.case import LoggedTicket
from tocsin_local.replay.posting import BATCH_EVENTS, BATCH_TICKETS, Taken, batches, post_history

RUN = {"api_key": "k", "urls": {"intake": "http://intake"}}
RECEIVED = "2026-06-08T12:00:00.000000Z"


def ticket(number: int, events: int = 0) -> LoggedTicket:
    event = {"type": "responded", "occurred_at": "2030-01-01T00:00:00.000000Z", "actor": "a"}
    body = {"external_id": f"Case {number}", "opened_at": "2012-01-10T08:00:00.000000Z", "severity": 1}
    return LoggedTicket(body | {"events": [event] * events}, [number])


class Intake:
    """Answers each item by its number of tries; None for the whole request is a broken connection."""

    def __init__(self, *answers: Any) -> None:
        self._answers = iter(answers)
        self.posted: list[list[str]] = []

    def __call__(self, request: httpx.Request) -> httpx.Response:
        items = [item["external_id"] for item in json.loads(request.content)["tickets"]]
        self.posted.append(items)
        answer = next(self._answers, 201)
        if answer is None:
            raise httpx.ConnectError("gone")
        if answer == "whole 503":
            return httpx.Response(503)
        statuses = answer if isinstance(answer, list) else [answer] * len(items)
        return httpx.Response(200, json={"results": [_result(*pair) for pair in zip(items, statuses, strict=True)]})


def _result(name: str, status: int) -> dict[str, Any]:
    if status in (200, 201):
        return {"status": status, "ticket": {"ticket_id": name, "received_at": RECEIVED}}
    problem = {"title": "Refused", "errors": [{"field": "summary", "message": "is too long"}]}
    return {"status": status, "problem": problem}


@pytest.fixture(autouse=True)
def no_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (calls_module, posting):
        monkeypatch.setattr(module, "back_off", lambda _number: 0.0)


async def post(intake: Intake, *tickets: LoggedTicket) -> tuple[Taken, int]:
    settled: list[int] = []
    async with Calls(RUN, httpx.MockTransport(intake)) as calls:
        taken = await post_history(calls, tickets, settled.append)
    return taken, sum(settled)


async def test_only_what_was_put_off_is_posted_again() -> None:
    intake = Intake([201, 503, 200], [503], [201])
    taken, settled = await post(intake, ticket(1), ticket(2), ticket(3))
    assert intake.posted == [["Case 1", "Case 2", "Case 3"], ["Case 2"], ["Case 2"]]
    assert [(posted.id, posted.known) for posted in taken.posted] == [
        ("Case 1", False),
        ("Case 3", True),
        ("Case 2", False),
    ]
    assert (taken.put_off, taken.refused, settled) == (2, [], 3)


async def test_a_refused_ticket_is_told_with_its_line_and_stops_no_other() -> None:
    taken, settled = await post(Intake([422, 201]), ticket(7), ticket(8))
    assert [(remark.line, remark.text) for remark in taken.refused] == [
        (7, "Case 7 was refused (422): summary is too long")
    ]
    assert [posted.id for posted in taken.posted] == ["Case 8"]
    assert settled == 2


@pytest.mark.parametrize("trouble", [None, "whole 503"])
async def test_an_intake_that_is_away_for_a_while_is_waited_for(trouble: object) -> None:
    taken, _ = await post(Intake(trouble, trouble, 201), ticket(1))
    assert [posted.id for posted in taken.posted] == ["Case 1"]


async def test_an_intake_that_stays_away_is_given_up() -> None:
    with pytest.raises(LocalError, match="intake did not answer"):
        await post(Intake(*[None] * 100), ticket(1))
    with pytest.raises(LocalError, match="intake does not take history"):
        await post(Intake(*[503] * 100), ticket(1))


async def test_nothing_occurs_after_its_receipt() -> None:
    taken, _ = await post(Intake(201), ticket(1, events=1))
    (posted,) = taken.posted
    assert [fact["occurred_at"] for fact in posted.facts] == ["2012-01-10T08:00:00.000000Z", RECEIVED]


def test_batches_are_bounded_in_tickets_and_events_and_keep_the_order() -> None:
    few = [ticket(number) for number in range(2 * BATCH_TICKETS + 1)]
    assert [len(batch) for batch in batches(few)] == [BATCH_TICKETS, BATCH_TICKETS, 1]
    full = [ticket(1, BATCH_EVENTS - 1), ticket(2, 2), ticket(3, BATCH_EVENTS + 1), ticket(4)]
    assert [[each.lines[0] for each in batch] for batch in batches(full)] == [[1], [2], [3], [4]]
    assert [each for batch in batches(few) for each in batch] == few
