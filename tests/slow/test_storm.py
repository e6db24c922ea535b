"""Many warnings at once, through all services. Slow, because mails are held for a digest in real time."""

from collections import Counter

import pytest
from support.scenario import Scenario

STORM = {"customer": {"id": "storm", "name": "Storm"}}
TICKETS = 40
SINGLES = 5


@pytest.mark.rule("5.31")
async def test_a_storm_of_warnings_is_a_few_mails_that_name_each_ticket_once(scenario: Scenario) -> None:
    requests = [scenario.ticket_request(severity=3, **STORM) for _ in range(TICKETS)]
    results = (await scenario.post("/v1/tickets/batch", {"tickets": requests}))["results"]
    tickets = [scenario.add_ticket(each, result["ticket"]) for each, result in zip(requests, results, strict=True)]
    await scenario.advance_past(scenario.after(hours=6))
    urgent = await scenario.open_ticket(severity=1, **STORM)
    await scenario.advance_past(scenario.after(hours=6, minutes=50))

    mails = await scenario.mails_by_ticket()
    kinds = Counter(mail.kind for ticket in tickets for mail in mails[ticket.id])
    assert kinds == {"warning": SINGLES, "digest": TICKETS - SINGLES}
    assert [mail.kind for mail in mails[urgent.id]] == ["warning"]
    for ticket in tickets:
        (delivery,) = await scenario.deliveries(ticket)
        (mail,) = mails[ticket.id]
        assert (delivery["kind"], delivery["state"]) == ("warning", "sent")
        assert delivery["in_digest"] == (mail.kind == "digest")
