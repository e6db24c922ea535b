"""A severity is disputed, from the assessment until a representative confirms it: what the PSA and the operator see."""

import re

import httpx
import pytest
from support.movable_stack import MovableStack
from support.polling import eventually
from support.scenario import Scenario
from support.servers import NO_CERTIFICATES

MAJOR = {"business_risk": "major", "users_affected_percent": 40}  # suggests severity 2


@pytest.mark.rule("1.6", "1.7")
async def test_a_disputed_severity_shows_until_it_is_confirmed(scenario: Scenario, movable_stack: MovableStack) -> None:
    metrics = f"{movable_stack.stack.run['urls']['intake']}/metrics"

    async def disputed() -> list[str]:
        items = (await scenario.get("intake", "/v1/tickets?flag=severity_disputed&state=open"))["items"]
        return [item["ticket_id"] for item in items]

    async def gauge_reaches(number: int) -> None:
        async def reached() -> bool:
            async with httpx.AsyncClient(verify=NO_CERTIFICATES) as http:
                text = (await http.get(metrics)).text
            (value,) = re.findall(r"^sla_severity_disputed (\S+)$", text, re.MULTILINE)
            return float(value) == number

        await eventually(reached, f"sla_severity_disputed is {number}")

    ticket = await scenario.open_ticket(severity=4)
    by_external_id = f"/v1/tickets/by-external/connectwise/{ticket.external_id}"
    assert (await scenario.get("intake", by_external_id))["flags"] == []
    others = len(await disputed())
    assessed = {"type": "assessed", "actor": "ruth", "impact": MAJOR}
    await scenario.post(f"{by_external_id}/events", assessed)

    found = await scenario.get("intake", by_external_id)
    assert (found["severity"], found["suggested_severity"], found["fit"]) == (4, 2, True)
    assert found["flags"] == ["severity_disputed"]
    assert ticket.id in await disputed()
    await gauge_reaches(others + 1)

    await scenario.post_event(ticket, "responded")
    await scenario.advance_past(scenario.after(hours=1))
    assert ticket.id in await disputed()
    await scenario.post_event(ticket, "severity_changed", severity=4)
    confirmed = await scenario.get("intake", by_external_id)
    assert (confirmed["severity"], confirmed["suggested_severity"], confirmed["flags"]) == (4, 2, [])
    assert ticket.id not in await disputed()
    await gauge_reaches(others)
    await scenario.wait_until_idle()
    await scenario.assert_consistent(ticket)
