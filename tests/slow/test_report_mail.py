"""Monthly reports through the whole pipeline: board, Kafka, notifier and a mail server, with processes killed."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from support.movable_stack import MovableStack, start_movable_stack
from support.polling import eventually
from support.scenario import Scenario
from tocsin_local.services import PIPELINE

pytestmark = [pytest.mark.xdist_group("replicas"), pytest.mark.long]

IN_AUGUST = datetime(2026, 8, 1, 10, 30, tzinfo=UTC)


@pytest.fixture(scope="module")
def movable_stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MovableStack]:
    with start_movable_stack(tmp_path_factory.mktemp("reports"), services=(*PIPELINE, "board")) as stack:
        yield stack


async def test_a_report_is_mailed_once_after_downtime_although_processes_are_killed(scenario: Scenario) -> None:
    async def mailed() -> list[tuple[str, str]]:
        messages: Any = await scenario.get("inbox", "/messages")
        reports = [one for one in messages if ["Tocsin-Kind", "report"] in one["headers"]]
        # Scenarios start in a later week than the stack: the report of June may be due as well.
        of_july = [one for one in reports if one["subject"].endswith("July 2026")]
        return sorted((one["rcpt_to"][0], one["subject"]) for one in of_july)

    async def is_mailed() -> bool:
        return await mailed() == expected

    expected = [
        ("noor.haddad@example.com", "Service levels of Acme, July 2026"),
        ("peter.kowalski@example.com", "Service levels of all customers, July 2026"),
    ]
    scenario.directory.send_reports("noor.haddad", customer="acme")
    scenario.directory.send_reports("peter.kowalski")
    await scenario.wait_for_metric("board", "sla_board_reports_overdue_seconds", 0.0)
    for ticket in await scenario.open_tickets(3, "responded"):
        await scenario.post_event(ticket, "resolved")
    await scenario.stack.kill("board", "notifier")
    await scenario.jump_to(IN_AUGUST)
    await scenario.stack.start("board")
    await scenario.wait_for_metric("board", "sla_board_reports_overdue_seconds", 0.0)
    await scenario.stack.crash("board")
    await scenario.stack.start("notifier")
    await eventually(is_mailed, mailed)
    await scenario.stack.wait_until_ready()
    await scenario.wait_for_metric("board", "sla_board_reports_overdue_seconds", 0.0)
    await scenario.wait_until_idle()
    assert await mailed() == expected
