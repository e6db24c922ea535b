"""Compares what the services say about imported tickets with the simulation: every clock, every outcome, no mail."""

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from datetime import datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from tocsin_tools.client import StackClient
from tocsin_tools.differences import differences
from tocsin_tools.replay.history_import import ImportedTicket
from tocsin_tools.replay.logged_ticket import Remark

CONCURRENCY: Final = 6
ALL_TIME: Final = {"from": "1990-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
OUTCOMES: Final = ("met", "breached", "cancelled")
OUTCOME_EVENTS: Final = ("clock.met", "clock.breached", "clock.cancelled")
MAX_DIFFERENCES: Final = 5
"""Differences reported per ticket."""

OutcomeKey = tuple[str, str, str]
"""(clock, month, outcome)"""


class Comparison:
    """The differences found, and the simulated outcomes by clock and month. `zone` is that of the report's months."""

    def __init__(self, zone: ZoneInfo) -> None:
        self.differing: list[Remark] = []
        self.outcomes: Counter[OutcomeKey] = Counter()
        self._zone = zone

    async def compare(self, client: StackClient, tickets: Iterable[ImportedTicket]) -> None:
        """Compare every ticket with its simulation."""
        left = iter(tickets)

        async def work() -> None:
            for ticket in left:
                await self._compare(client, ticket)

        async with asyncio.TaskGroup() as group:
            for _ in range(CONCURRENCY):
                group.create_task(work())

    async def _compare(self, client: StackClient, imported: ImportedTicket) -> None:
        body, line = imported.ticket.body, imported.ticket.lines[0]
        clocks = await client.get("sla-timer", f"/v1/tickets/{imported.id}/clocks")
        if clocks is None:
            self.differing.append(Remark(line, f"{body['external_id']} did not arrive at sla-timer"))
            return
        expected = await client.simulate(imported.facts, until=clocks["told_to"], customer=body["customer"]["id"])
        for text in islice(differences(expected, clocks), MAX_DIFFERENCES):
            self.differing.append(Remark(line, f"{body['external_id']}: {text}"))
        self._count(expected)

    def _count(self, expected: Mapping[str, Any]) -> None:
        """Count each clock once, in the month of its outcome (docs/rules.md#6-3)."""
        decided_at = {
            (event["cycle"], event["clock"]): event["at"]
            for event in expected["events"]
            if event["type"] in OUTCOME_EVENTS
        }
        for clock in expected["clocks"]:
            at = decided_at.get((clock["cycle"], clock["clock"]))
            if at is not None:
                month = datetime.fromisoformat(at).astimezone(self._zone).strftime("%Y-%m")
                self.outcomes[clock["clock"], month, clock["outcome"]] += 1


async def load_compliance(client: StackClient, customers: Iterable[str]) -> list[dict[str, Any]]:
    """The stack's report on these customers: counts per clock, severity, customer and month."""
    wanted = set(customers)
    report = await client.get("sla-timer", "/v1/compliance", **ALL_TIME, group_by="clock,severity,customer,month")
    return [item for item in report["items"] if item["customer"] in wanted]


def find_miscounts(expected: Mapping[OutcomeKey, int], items: Iterable[Mapping[str, Any]]) -> list[str]:
    """One line for each clock, month and outcome of which the report counts too few.

    It can count more: the customers can have other tickets.
    """
    reported: Counter[OutcomeKey] = Counter()
    for item in items:
        for outcome in OUTCOMES:
            reported[item["clock"], item["month"], outcome] += item[outcome]
    return [
        f"compliance counts {reported[key]} {key[0]} clocks {key[2]} in {key[1]}, the log alone has {count}"
        for key, count in sorted(expected.items())
        if reported[key] < count
    ]


async def count_historic_mails(client: StackClient, tickets: Iterable[ImportedTicket]) -> int:
    """The number of deliveries about what was due at or before the receipt of these tickets. It must be 0."""
    received = {ticket.id: str(ticket.stored["received_at"]) for ticket in tickets}
    deliveries = client.items("notifier", "/v1/deliveries")
    return len([each async for each in deliveries if each["scheduled_at"] <= received.get(each["ticket_id"], "")])
