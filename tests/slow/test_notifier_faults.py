"""Whatever the mail server does, no mail is lost, and none is sent twice without a journal entry."""

from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from support.notifier_world import NotifierWorld, make_world
from support.servers import MakeDatabase, SharedSink
from support.smtp_faults import FAULTS, FaultResult, run_fault
from support.tls_smtp_sink import secured_sink

MAILS = 24


@pytest.fixture
def secured(tmp_path: Path) -> Iterator[tuple[SharedSink, Mapping[str, Any]]]:
    with secured_sink(tmp_path) as sink_and_login:
        yield sink_and_login


@pytest.fixture
async def world(
    make_database: MakeDatabase, secured: tuple[SharedSink, Mapping[str, Any]], tmp_path: Path
) -> AsyncIterator[NotifierWorld]:
    sink, login = secured
    async with make_world(make_database("notifier"), sink, tmp_path, datetime.now(UTC), **login) as made:
        yield made


@pytest.mark.long
async def test_no_mail_is_lost_in_any_fault(world: NotifierWorld) -> None:
    """`make faults` prints the table for 1,000 mails each."""
    results: dict[str, FaultResult] = {}
    for fault in FAULTS:
        results[fault.name] = result = await run_fault(world, fault, MAILS)
        assert result.is_clean, result
        assert result.sent == MAILS, result
    assert results["550 permanently"].fallback == MAILS / 2
    assert results["hang after the dot"].ambiguous > 0
    assert results["reset after the dot"].ambiguous > 0
    assert results["TLS stripped"].accepted == 0
    login = results["AUTH refused"]  # the queue waited, the gauge showed it, and no mail was refused
    assert (login.accepted, login.refused) == (0, 0)
    assert login.attempts < 5
