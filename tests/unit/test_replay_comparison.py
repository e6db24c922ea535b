"""A replay accepts only what the rules say: it finds a different clock, a wrong count and a missing ticket."""

import json
from copy import deepcopy
from typing import Any
from zoneinfo import ZoneInfo

import httpx
import pytest
from rich.console import Console
from support.stories import at, fact, simulated
from tocsin_tools.client import StackClient
from tocsin_tools.differences import differences
from tocsin_tools.replay.comparison import Comparison, find_miscounts, load_compliance
from tocsin_tools.replay.help_desk_log import HelpDeskLog
from tocsin_tools.replay.history_import import ImportedTicket, ImportResult
from tocsin_tools.replay.logged_ticket import LoggedTicket, Remark
from tocsin_tools.replay.report import ReplayResult, show

RUN = {"api_key": "k", "urls": {"sla-timer": "http://sla-timer"}}
ZONE = ZoneInfo("America/New_York")
FACTS = (
    fact("opened", "06-08 12:00", severity=1),
    fact("responded", "06-08 12:10"),
    fact("resolved", "06-09 13:30"),
)
UNTIL = "06-20 12:00"
BODY = {
    "external_id": "Case 1",
    "opened_at": FACTS[0]["occurred_at"],
    "severity": 1,
    "customer": {"id": "acme", "name": "Acme"},
    "events": list(FACTS[1:]),
}
TICKET = LoggedTicket(BODY, [7])
IMPORTED = ImportedTicket(TICKET, {"ticket_id": "t", "received_at": at(UNTIL)}, known=False)


def simulation() -> dict[str, Any]:
    return simulated(*FACTS, until=UNTIL)


def clocks() -> dict[str, Any]:
    """The clocks of sla-timer if all is well."""
    return {**simulation(), "told_to": at(UNTIL)}


def compliance() -> dict[str, Any]:
    """The compliance report of sla-timer if all is well: the response met, the resolution breached."""
    row = {"severity": 1, "customer": "acme", "month": "2026-06", "cancelled": 0}
    response = {**row, "clock": "response", "met": 1, "breached": 0}
    resolution = {**row, "clock": "resolution", "met": 0, "breached": 1}
    return {"items": [response, resolution, {**resolution, "customer": "another"}]}


async def replay(live: dict[str, Any], report: dict[str, Any]) -> ReplayResult:
    """The result of a replay of one ticket on a stack that responds with these clocks and this report."""

    def respond(request: httpx.Request) -> httpx.Response:
        match request.url.path:
            case "/v1/simulate":
                body = json.loads(request.content)
                assert (body["facts"], body["until"], body["customer"]) == (IMPORTED.facts, at(UNTIL), "acme")
                return httpx.Response(200, json=simulation())
            case "/v1/compliance":
                return httpx.Response(200, json=report)
            case _:
                return httpx.Response(200, json=live)

    comparison = Comparison(ZONE)
    async with StackClient(RUN, httpx.MockTransport(respond)) as client:
        await comparison.compare(client, [IMPORTED])
        items = await load_compliance(client, ["acme"])
    return ReplayResult(
        log=HelpDeskLog([TICKET], 3, [], []),
        imported=ImportResult([IMPORTED]),
        seconds=1.0,
        import_seconds=1.0,
        compliance=items,
        differing=comparison.differing,
        miscounted=find_miscounts(comparison.outcomes, items),
        historic_mails=0,
    )


async def test_an_import_that_matches_the_rules_is_good() -> None:
    result = await replay(clocks(), compliance())
    assert (result.differing, result.miscounted, result.is_good) == ([], [], True)


async def test_a_different_clock_is_found() -> None:
    live = deepcopy(clocks())
    [changed] = [clock for clock in live["clocks"] if clock["clock"] == "resolution"]
    changed["due_at"] = at("06-09 12:11")
    result = await replay(live, compliance())
    assert not result.is_good
    path = f"clocks[{live['clocks'].index(changed)}].due_at"
    text = f"{path} is {at('06-09 12:11')}, the rules say {at('06-09 12:10')}"
    assert list(differences(clocks(), live)) == [text]
    assert result.differing == [Remark(7, f"Case 1: {text}")]
    console = Console(record=True, width=200)
    show(console, result)
    assert text in console.export_text()


@pytest.mark.parametrize(("row", "name"), [(0, "response clocks met"), (1, "resolution clocks breached")])
async def test_a_wrong_count_is_found(row: int, name: str) -> None:
    report = compliance()
    report["items"][row] |= {"met": 0, "breached": 0}
    result = await replay(clocks(), report)
    assert not result.is_good
    assert result.differing == []
    assert result.miscounted == [f"compliance counts 0 {name} in 2026-06, the log alone has 1"]


async def test_a_missing_ticket_is_found() -> None:
    async with StackClient(RUN, httpx.MockTransport(lambda _: httpx.Response(404))) as client:
        comparison = Comparison(ZONE)
        await comparison.compare(client, [IMPORTED])
    assert comparison.differing == [Remark(7, "Case 1 did not arrive at sla-timer")]
