"""What a service measures of its machine and its database: table sizes, clock skew, disk, certificates of its peers."""

import ssl
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from notifier.domain.smtp_reply import SmtpReply
from notifier.workers.smtp_server import SmtpServer
from notifier.workers.smtp_servers import SmtpServers
from sqlalchemy import text
from support.calendar_feed import LOOPBACK, serve_feed
from support.metrics import counter_value
from support.notifier_events import NOON
from support.notifier_world import make_world
from support.runtime_world import SEEN, metadata, runtime_database
from support.servers import MakeDatabase, SharedSink
from support.tls_smtp_sink import secured_sink
from tocsin.runtime.database.table_sizes import load_table_sizes
from tocsin.runtime.metrics import CERTIFICATE_EXPIRES
from tocsin.runtime.process.resources import Resources
from tocsin.sources.calendar_download import download_calendar

ROWS = 300_000  # more than 8 MB


@pytest.fixture(autouse=True)
def no_certificate() -> None:
    CERTIFICATE_EXPIRES.clear()


async def test_small_tables_are_counted_and_large_ones_estimated(make_database: MakeDatabase) -> None:
    async with runtime_database(make_database()) as engine, engine.begin() as connection:
        await connection.execute(SEEN.insert(), [{"ticket": uuid4(), "number": n} for n in range(3)])
        counted = {size.name: size for size in await load_table_sizes(connection, metadata.sorted_tables)}
        assert counted["seen"].rows == 3
        assert counted["dead_letters"].rows == 0
        assert set(counted) == set(metadata.tables)
        await connection.execute(
            text("INSERT INTO seen SELECT gen_random_uuid(), n FROM generate_series(1, :rows) AS n"), {"rows": ROWS}
        )
        await connection.execute(text("ANALYZE seen"))
        (large,) = await load_table_sizes(connection, [SEEN])
        assert large.rows == pytest.approx(ROWS + 3, rel=0.05)
        on_disk = (await connection.execute(text("SELECT pg_total_relation_size('seen')"))).scalar_one()
        assert large.bytes == on_disk


async def test_the_gauges_show_tables_clock_and_disk(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with runtime_database(make_database()) as engine:
        async with engine.begin() as connection:
            await connection.execute(SEEN.insert(), [{"ticket": uuid4(), "number": 1}])
        measured = Resources(engine, [SEEN], tmp_path / "not/there/keys.yaml")
        await measured.measure()
        assert counter_value("sla_table_rows", table="seen") == 1
        assert counter_value("sla_table_bytes", table="seen") > 0
        assert 0 < counter_value("sla_disk_free_ratio") < 1
        assert abs(counter_value("sla_clock_skew_seconds")) < 60, "one machine has one clock"
        monkeypatch.setattr("time.time", lambda: datetime.now(UTC).timestamp() - 3600)
        await measured.measure()
        assert counter_value("sla_clock_skew_seconds") == pytest.approx(-3600, abs=60)


async def test_the_certificate_of_a_feed_is_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serve_feed(tmp_path) as feed:
        monkeypatch.setenv("SSL_CERT_FILE", str(feed.ca))
        await download_calendar(feed.url, LOOPBACK)
    assert counter_value("sla_certificate_expires_timestamp_seconds", server="localhost") > time.time()


async def test_the_certificate_of_a_mail_server_is_recorded_without_a_mail(
    make_database: MakeDatabase, tmp_path: Path
) -> None:
    with secured_sink(tmp_path) as (sink, login):
        async with make_world(make_database("notifier"), sink, tmp_path, NOON, **login) as world:
            settings = world.make_settings()
            await SmtpServers(settings, lambda: None).read_certificates()
            expires = counter_value("sla_certificate_expires_timestamp_seconds", server="first")
            assert expires > (datetime.now(UTC) + timedelta(hours=1)).timestamp()
            assert world.mails() == []


async def test_a_refused_login_still_shows_the_certificate(make_database: MakeDatabase, tmp_path: Path) -> None:
    with secured_sink(tmp_path, tls="tls") as (sink, login):
        wrong = {**login, "smtp_password": "wrong"}
        async with make_world(make_database("notifier"), sink, tmp_path, NOON, **wrong) as world:
            settings = world.make_settings()
            assert isinstance(await SmtpServer(settings.mail_servers[0], settings).connect(), SmtpReply)
    assert counter_value("sla_certificate_expires_timestamp_seconds", server="first") > time.time()


async def test_a_server_without_tls_has_no_certificate(
    make_database: MakeDatabase, smtp_sink: SharedSink, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_world(make_database("notifier"), smtp_sink, tmp_path, NOON) as world:
        servers = SmtpServers(world.make_settings(), lambda: None)
        monkeypatch.setattr(ssl, "cert_time_to_seconds", pytest.fail)
        await servers.read_certificates()
