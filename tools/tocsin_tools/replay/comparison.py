"""That the services tell of the log's tickets what the rules make of them: every clock, every outcome, no mail."""

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final
from zoneinfo import ZoneInfo

from sla_timer.domain.policy_history import PolicyHistory
from sla_timer.domain.timeline_events import EventKind
from tocsin.policy import Policy
from tocsin_local.calls import Calls
from tocsin_local.diff import differences, pure
from tocsin_local.replay.case import Remark
from tocsin_local.replay.posting import Posted

AT_ONCE: Final = 6
EVER: Final = {"from": "1990-01-01T00:00:00Z", "to": "2100-01-01T00:00:00Z"}
OUTCOMES: Final = ("met", "breached", "cancelled")
MOST_DIFFERENCES: Final = 5
"""Of one ticket: the first of them say it all."""

Cell = tuple[str, str, str]
"""(clock, month, outcome)"""


class Comparison:
    """Every ticket's clocks against the pure function, and how many ended how and when by the latter."""

    def __init__(self, policies: Sequence[Policy]) -> None:
        self.differing: list[Remark] = []
        self.outcomes: Counter[Cell] = Counter()
        self._policies = policies
        self._zone = ZoneInfo(PolicyHistory.of(policies, None).latest_rules.calendar.zone.key)

    async def compare(self, calls: Calls, posted: Iterable[Posted], advance: Callable[[int], None]) -> None:
        """Asks for some tickets at a time; `advance` is called with 1 for each."""
        waiting = iter(posted)

        async def work() -> None:
            for ticket in waiting:
                self._compare(ticket, await calls.get("sla-timer", f"/v1/tickets/{ticket.id}/clocks"))
                advance(1)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(work())

    def _compare(self, ticket: Posted, live: Mapping[str, Any] | None) -> None:
        name = ticket.ticket.body["external_id"]
        if live is None:
            self._differs(ticket, f"{name} never arrived at sla-timer")
            return
        expected = pure(ticket.facts, ticket.ticket.body["customer"]["id"], live, self._policies)
        for text in islice(differences(expected, live), MOST_DIFFERENCES):
            self._differs(ticket, f"{name}: {text}")
        self._count(expected)

    def _differs(self, ticket: Posted, text: str) -> None:
        self.differing.append(Remark(ticket.ticket.lines[0], text))

    def _count(self, expected: Mapping[str, Any]) -> None:
        """Each clock once, in the month of its own cycle's outcome, as compliance counts."""
        kinds = (EventKind.MET, EventKind.BREACHED, EventKind.CANCELLED)
        ended = {
            (event["cycle"], event["clock"]): event["at"] for event in expected["events"] if event["type"] in kinds
        }
        for clock in expected["clocks"]:
            at = ended.get((clock["cycle"], clock["clock"]))
            if at is not None:
                month = datetime.fromisoformat(at).astimezone(self._zone).strftime("%Y-%m")
                self.outcomes[clock["clock"], month, clock["outcome"]] += 1


async def compliance_of(calls: Calls, customers: Iterable[str]) -> list[dict[str, Any]]:
    """The stack's own report on these customers: counts per clock, severity, customer and month."""
    wanted = set(customers)
    report = await calls.get("sla-timer", "/v1/compliance", **EVER, group_by="clock,severity,customer,month")
    return [item for item in report["items"] if item["customer"] in wanted]


def missing_outcomes(expected: Mapping[Cell, int], items: Iterable[Mapping[str, Any]]) -> list[str]:
    """A line for each clock, month and outcome of which the report counts fewer than there must be.

    It may count more: these customers can have other tickets there.
    """
    reported: Counter[Cell] = Counter()
    for item in items:
        for outcome in OUTCOMES:
            reported[item["clock"], item["month"], outcome] += item[outcome]
    return [
        f"compliance counts {reported[cell]} {cell[0]} clocks {cell[2]} in {cell[1]}, the log alone has {count}"
        for cell, count in sorted(expected.items())
        if reported[cell] < count
    ]


async def mails_for_history(calls: Calls, posted: Iterable[Posted]) -> tuple[int, int]:
    """(all deliveries of the notifier, those for something of these tickets that was due by its receipt)."""
    received = {ticket.id: str(ticket.answer["received_at"]) for ticket in posted}
    everything = for_history = 0
    async for delivery in calls.pages("notifier", "/v1/deliveries"):
        everything += 1
        for_history += delivery["scheduled_at"] <= received.get(delivery["ticket_id"], "")
    return everything, for_history
