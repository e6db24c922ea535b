"""Monthly reports are published once for each person, from a real sla-timer and escalator, on real PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from board.handlers.rebuild import rebuild
from board.service import build
from board.settings import Settings
from board.sources.upstream import Upstream
from board.store.tables import DELIVERIES, OUTBOX, REPORT_MONTHS, TICKETS
from board.workers.report_mail import ReportMailer
from notifier.domain.delivery import DeliveryState, JournalEntry, Now
from notifier.domain.new_delivery import report_delivery
from pydantic import SecretStr
from sqlalchemy import delete, select
from sqlalchemy.ext.asyncio import AsyncEngine
from support.fake_timer import numbered_fact
from support.metrics import counter_value
from support.servers import MakeDatabase
from support.service_apps import build_service
from support.timer_world import TimerWorld, events, timer_world
from tocsin.events import Event, ReportReady, decode, report_id
from tocsin.runtime.database.engine import driver_connection, engine
from tocsin.runtime.kafka.client import ESCALATIONS_TOPIC, NOTIFICATIONS_TOPIC
from tocsin.runtime.kafka.record_headers import unpack
from tocsin.runtime.kafka.records import Received
from tocsin.runtime.process.clock import FileClock
from tocsin.sources.directory_file import DirectoryFile

PEOPLE = """
people:
  dana: { name: Dana, email: dana@example.com }
  kim: { name: Kim, email: kim@example.com }
roles: {}
"""
FACTS = [
    numbered_fact(1, "opened", "06-10 12:00", severity=1),
    numbered_fact(2, "responded", "06-10 12:30"),
    numbered_fact(3, "resolved", "06-12 20:00"),
]
JUNE = datetime(2026, 6, 15, 12, tzinfo=UTC)
# Six in the morning in New York, where the shipped policy counts months.
JULY, AUGUST = (datetime(2026, month, 1, 10, tzinfo=UTC) for month in (7, 8))
OF_JUNE = [("2026-06", "acme", "dana"), ("2026-06", None, "dana"), ("2026-06", None, "kim")]


@dataclass
class ReportWorld:
    """sla-timer and the escalator in this process, the board's database, and a clock that the test moves."""

    timer: TimerWorld
    upstream: Upstream
    url: str
    """The board's database."""
    engine: AsyncEngine
    clock: FileClock
    folder: Path

    async def advance(self, at: datetime, *, decided: datetime | None = None) -> None:
        """Business time stands still at `at`; sla-timer has decided everything before that, or before `decided`."""
        with (self.folder / "clock").open("a") as file:
            file.write(f"{datetime.now(UTC).isoformat()} {at.isoformat()} 0\n")
        await self.timer.advance(decided or at)

    def name_readers(self, *readers: str) -> None:
        """The directory says that these people get reports."""
        lines = "".join(f"  - {one}\n" for one in readers)
        (self.folder / "directory.yaml").write_text(f"{PEOPLE}reports:\n{lines}" if readers else PEOPLE)

    def mailer(self, upstream: Upstream | None = None) -> ReportMailer:
        """The worker of one more process."""
        directory = DirectoryFile(self.folder / "directory.yaml")
        get = (upstream or self.upstream).get
        return ReportMailer(self.engine, directory, self.clock, get, "https://board.example.com", lambda: None)

    async def published(self) -> list[ReportReady]:
        """The events in the outbox, in order."""
        async with self.engine.connect() as connection:
            rows = await OUTBOX.oldest(await driver_connection(connection), 1000)
        found = [decode(unpack(row.headers), row.value) for row in rows]
        return [event for event in found if isinstance(event, ReportReady)]

    async def mailed(self) -> list[tuple[str, str | None, str]]:
        """Month, customer and person of each event."""
        return [(one.month, one.customer.id if one.customer else None, one.to) for one in await self.published()]


def unreachable() -> Upstream:
    """Services at an address where nobody listens."""
    nowhere = "http://127.0.0.1:1"
    return Upstream(sla_timer_url=nowhere, escalator_url=nowhere, keys={"default": SecretStr("a key")})


@pytest.fixture
async def world(make_database: MakeDatabase, tmp_path: Path) -> AsyncIterator[ReportWorld]:
    """The board has started in June. Acme has one ticket, which was resolved too late."""
    (tmp_path / "clock").write_text(f"2026-01-01T00:00:00+00:00 {JUNE.isoformat()} 0\n")
    clock = FileClock(tmp_path / "clock")
    async with timer_world(make_database("sla-timer"), tmp_path, clock) as timer:
        escalator = build_service("escalator", make_database("escalator"), tmp_path)
        upstream = Upstream(
            sla_timer_url="http://sla-timer",
            escalator_url="http://escalator",
            keys={"default": SecretStr(timer.clients["default"].headers["Authorization"].removeprefix("Bearer "))},
            transports={
                name: httpx.ASGITransport(app, raise_app_exceptions=False)
                for name, app in (("sla-timer", timer.service.app), ("escalator", escalator.app))
            },
        )
        url = make_database("board")
        pool = engine(url, "test", pool_size=5)
        made = ReportWorld(timer, upstream, url, pool, clock, tmp_path)
        made.name_readers("{ customer: acme, to: [dana] }", "{ to: [dana, kim] }")
        await timer.receive(*events("SR-1", FACTS))
        await made.advance(JUNE)
        await made.mailer().mail_due()
        yield made
        await pool.dispose()
        await upstream.close()
        await escalator.runtime.dispose()


async def test_each_person_gets_each_report_once_at_six_on_the_first(world: ReportWorld) -> None:
    mailer, before = world.mailer(), counter_value("sla_board_reports_mailed_total")
    for hour, expected in ((9, []), (10, OF_JUNE), (11, OF_JUNE)):
        await world.advance(JULY.replace(hour=hour))
        await mailer.mail_due()
        assert await world.mailed() == expected
    await world.mailer().mail_due()
    assert await world.mailed() == OF_JUNE
    assert counter_value("sla_board_reports_mailed_total") == before + 3


async def test_the_event_has_the_report_in_words_and_as_a_page(world: ReportWorld) -> None:
    await world.advance(JULY)
    await world.mailer().mail_due()
    of_acme, of_all, _ = await world.published()
    assert (of_acme.event_id, of_acme.at) == (report_id("default", "2026-06", "acme", "dana"), JULY)
    assert (of_acme.subject, of_all.subject) == (
        "Service levels of Acme, June 2026",
        "Service levels of all customers, June 2026",
    )
    assert (of_acme.url, of_all.url) == (
        "https://board.example.com/reports/2026-06?customer=acme",
        "https://board.example.com/reports/2026-06",
    )
    assert "Missed targets: 1\n" in of_acme.text
    assert of_acme.html is not None
    assert "SR-1" in of_acme.html


async def test_nothing_is_mailed_of_the_months_before_the_first_start(world: ReportWorld) -> None:
    await world.advance(JULY.replace(hour=9))
    await world.mailer().mail_due()
    assert await world.published() == []


async def test_a_first_start_before_six_mails_the_report_of_the_month_that_has_just_ended(world: ReportWorld) -> None:
    """At nine in UTC it is five in the morning in New York: the report of June is not due yet."""
    async with world.engine.begin() as connection:
        await connection.execute(delete(REPORT_MONTHS))
    await world.advance(JULY.replace(hour=9))
    mailer = world.mailer()
    await mailer.mail_due()
    assert await world.mailed() == []
    await world.advance(JULY)
    await mailer.mail_due()
    assert await world.mailed() == OF_JUNE


async def test_a_report_waits_until_everything_of_its_month_is_decided(world: ReportWorld) -> None:
    mailer = world.mailer()
    await world.advance(JULY.replace(hour=12), decided=datetime(2026, 7, 1, 3, 59, tzinfo=UTC))
    await mailer.mail_due()
    assert await world.published() == []
    assert counter_value("sla_board_reports_overdue_seconds") == 2 * 3600
    await world.timer.advance(datetime(2026, 7, 1, 4, tzinfo=UTC))
    await mailer.mail_due()
    assert await world.mailed() == OF_JUNE
    assert counter_value("sla_board_reports_overdue_seconds") == 0


async def test_a_report_waits_for_deadlines_that_are_not_swept_yet(world: ReportWorld) -> None:
    """A ticket that nobody answers misses its response in June; the watermark has passed, the sweep has not run."""
    await world.timer.receive(*events("SR-2", [numbered_fact(1, "opened", "06-30 12:00", severity=1)]))
    await world.advance(JULY, decided=JUNE)
    await world.timer.set_watermark(JULY)
    await world.mailer().mail_due()
    assert await world.published() == []
    await world.timer.advance(JULY)
    await world.mailer().mail_due()
    assert "SR-2" in ((await world.published())[0].html or "")


async def test_after_downtime_the_last_three_months_are_mailed_in_order(world: ReportWorld) -> None:
    await world.advance(datetime(2026, 12, 5, 12, tzinfo=UTC))
    await world.mailer().mail_due()
    months = ["2026-09", "2026-10", "2026-11"]
    assert await world.mailed() == [(month, customer, to) for month in months for _, customer, to in OF_JUNE]
    await world.mailer().mail_due()
    assert len(await world.published()) == 9


async def test_two_replicas_publish_each_report_once(world: ReportWorld) -> None:
    await world.advance(JULY)
    await asyncio.gather(*(world.mailer().mail_due() for _ in range(3)))
    assert sorted(await world.mailed(), key=str) == sorted(OF_JUNE, key=str)


async def test_reports_are_mailed_once_sla_timer_responds_again(world: ReportWorld) -> None:
    gone = unreachable()
    failures = counter_value("sla_board_report_failures_total", reason="upstream")
    await world.advance(JULY.replace(hour=11))
    await world.mailer(gone).mail_due()
    await gone.close()
    assert await world.published() == []
    assert counter_value("sla_board_report_failures_total", reason="upstream") == failures + 1
    assert counter_value("sla_board_reports_overdue_seconds") > 0
    await world.mailer().mail_due()
    assert await world.mailed() == OF_JUNE


async def test_a_person_who_is_added_later_gets_the_reports_of_later_months(world: ReportWorld) -> None:
    await world.advance(JULY)
    await world.mailer().mail_due()
    world.name_readers("{ to: [dana] }", "{ customer: acme, to: [dana, kim] }")
    await world.mailer().mail_due()
    assert await world.mailed() == OF_JUNE
    await world.advance(AUGUST)
    await world.mailer().mail_due()
    assert (await world.mailed())[3:] == [
        ("2026-07", None, "dana"),
        ("2026-07", "acme", "dana"),
        ("2026-07", "acme", "kim"),
    ]


async def test_without_readers_nobody_is_asked_and_later_readers_get_later_months(world: ReportWorld) -> None:
    failures = counter_value("sla_board_report_failures_total", reason="upstream")
    world.name_readers()
    gone = unreachable()
    for at in (JULY, JULY.replace(day=15)):
        await world.advance(at)
        await world.mailer(gone).mail_due()
    await gone.close()
    assert counter_value("sla_board_report_failures_total", reason="upstream") == failures
    assert counter_value("sla_board_reports_overdue_seconds") == 0
    world.name_readers("{ to: [kim] }")
    await world.mailer().mail_due()
    await world.advance(AUGUST)
    await world.mailer().mail_due()
    assert await world.mailed() == [("2026-07", None, "kim")]


async def test_a_customer_without_numbers_gets_no_report_and_holds_up_nobody(world: ReportWorld) -> None:
    unknown = counter_value("sla_board_report_failures_total", reason="unknown_customer")
    world.name_readers("{ customer: acne, to: [dana] }", "{ to: [kim] }")
    await world.advance(JULY)
    await world.mailer().mail_due()
    await world.mailer().mail_due()
    assert await world.mailed() == [("2026-06", None, "kim")]
    assert counter_value("sla_board_report_failures_total", reason="unknown_customer") == unknown + 1


async def test_a_rebuild_mails_nothing_again(world: ReportWorld) -> None:
    await world.advance(JULY)
    await world.mailer().mail_due()
    async with world.engine.begin() as connection:
        await rebuild(connection, {})
    await world.mailer().mail_due()
    assert await world.mailed() == OF_JUNE


async def test_the_mail_of_a_report_is_no_ticket_on_the_board(world: ReportWorld) -> None:
    now = Now(JULY, JULY)
    await world.advance(JULY)
    await world.mailer().mail_due()
    published = await world.published()
    sent = [JournalEntry.of(replace(report_delivery(one, now), state=DeliveryState.SENT)).event for one in published]
    files = {"keys": world.folder / "keys.yaml", "directory": world.folder / "directory.yaml"}
    given = {"database_url": world.url, "kafka": "127.0.0.1:1", "upstream_keys": "{}", **files}
    service = build(Settings.model_validate(given), world.clock)
    async with world.engine.begin() as connection:
        await service.handlers.on_escalations(connection, received(published, ESCALATIONS_TOPIC))
        await service.handlers.on_notifications(connection, received([one for one in sent if one], NOTIFICATIONS_TOPIC))
        assert (await connection.execute(select(TICKETS))).all() == []
        assert (await connection.execute(select(DELIVERIES))).all() == []
    await service.upstream.close()
    await service.runtime.dispose()


def received(given: Sequence[Event], topic: str) -> list[Received]:
    return [Received(event, topic, 0, offset) for offset, event in enumerate(given)]
