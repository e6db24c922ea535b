"""A replay says yes only when all is as the rules say: an altered clock or count is found."""

from copy import deepcopy
from typing import Any

import httpx
import pytest
from rich.console import Console
from support.stories import at, fact, shipped_policy, simulated
from tocsin_local.calls import Calls
from tocsin_local.diff import differences
from tocsin_local.replay.case import LoggedTicket, Remark
from tocsin_local.replay.checking import Comparison, compliance_of, missing_outcomes
from tocsin_local.replay.log import Log
from tocsin_local.replay.posting import Posted, Taken
from tocsin_local.replay.report import Outcome, show

RUN = {"api_key": "k", "urls": {"sla-timer": "http://sla-timer"}}
STORY = (
    fact("opened", "06-08 12:00", severity=1),
    fact("responded", "06-08 12:10"),
    fact("resolved", "06-09 13:30"),
)
UNTIL = "06-20 12:00"
BODY = {
    "external_id": "Case 1",
    "opened_at": STORY[0]["occurred_at"],
    "severity": 1,
    "customer": {"id": "acme", "name": "Acme"},
    "events": list(STORY[1:]),
}
TICKET = LoggedTicket(BODY, [7])
POSTED = Posted(TICKET, {"ticket_id": "t", "received_at": at(UNTIL)}, known=False)


def clocks() -> dict[str, Any]:
    """What sla-timer answers where all is well."""
    return {**simulated(*STORY, until=UNTIL), "told_to": at(UNTIL)}


def report() -> dict[str, Any]:
    """Its compliance: the response met, the resolution breached."""
    row = {"severity": 1, "customer": "acme", "month": "2026-06", "cancelled": 0}
    response = {**row, "clock": "response", "met": 1, "breached": 0}
    resolution = {**row, "clock": "resolution", "met": 0, "breached": 1}
    return {"items": [response, resolution, {**resolution, "customer": "another"}]}


async def outcome(live: dict[str, Any], compliance: dict[str, Any]) -> Outcome:
    """The end of a replay of one ticket on a stack that answers so."""

    def answers(request: httpx.Request) -> httpx.Response:
        return httpx.Response(200, json=compliance if request.url.path == "/v1/compliance" else live)

    comparison = Comparison([shipped_policy()])
    async with Calls(RUN, httpx.MockTransport(answers)) as calls:
        await comparison.compare(calls, [POSTED], lambda _: None)
        items = await compliance_of(calls, ["acme"])
    return Outcome(
        log=Log([TICKET], 3, [], []),
        taken=Taken([POSTED], [], 0),
        seconds=1.0,
        posting_seconds=1.0,
        compliance=items,
        differing=comparison.differing,
        miscounted=missing_outcomes(comparison.outcomes, items),
        deliveries=(0, 0),
        mails_for_history=0,
    )


async def test_what_is_as_the_rules_say_is_good() -> None:
    found = await outcome(clocks(), report())
    assert (found.differing, found.miscounted, found.good) == ([], [], True)


async def test_an_altered_clock_is_found() -> None:
    live = deepcopy(clocks())
    [altered] = [clock for clock in live["clocks"] if clock["clock"] == "resolution"]
    altered["due_at"] = at("06-09 12:11")
    found = await outcome(live, report())
    assert not found.good
    where = f"clocks[{live['clocks'].index(altered)}].due_at"
    text = f"{where} is {at('06-09 12:11')}, the rules say {at('06-09 12:10')}"
    assert list(differences(clocks(), live)) == [text]
    assert found.differing == [Remark(7, f"Case 1: {text}")]
    console = Console(record=True, width=200)
    show(console, found)
    assert text in console.export_text()


@pytest.mark.parametrize(("row", "name"), [(0, "response clocks met"), (1, "resolution clocks breached")])
async def test_an_altered_count_is_found(row: int, name: str) -> None:
    compliance = report()
    compliance["items"][row] |= {"met": 0, "breached": 0}
    found = await outcome(clocks(), compliance)
    assert not found.good
    assert found.differing == []
    assert found.miscounted == [f"compliance counts 0 {name} in 2026-06, the log alone has 1"]


async def test_a_ticket_that_never_arrived_is_found() -> None:
    async with Calls(RUN, httpx.MockTransport(lambda _: httpx.Response(404))) as calls:
        comparison = Comparison([shipped_policy()])
        await comparison.compare(calls, [POSTED], lambda _: None)
    assert comparison.differing == [Remark(7, "Case 1 never arrived at sla-timer")]
