"""The embedded servers are real ones, configured as the services need them, and tests do not share data."""

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from sqlalchemy import make_url
from support.servers import MakeDatabase, SharedKafka


async def connect(url: str) -> asyncpg.Connection:
    parts = make_url(url)
    return await asyncpg.connect(
        host=parts.host, port=parts.port, user=parts.username, password=parts.password, database=parts.database
    )


async def test_postgresql_is_version_18_on_loopback_in_utc(make_database: MakeDatabase) -> None:
    connection = await connect(make_database())
    assert (await connection.fetchval("SHOW server_version")).startswith("18.")
    assert await connection.fetchval("SHOW timezone") == "UTC"
    assert await connection.fetchval("SHOW listen_addresses") == "127.0.0.1"
    assert await connection.fetchval("SHOW idle_in_transaction_session_timeout") == "5s"
    await connection.close()


async def test_a_wrong_password_is_refused(make_database: MakeDatabase) -> None:
    url = make_url(make_database()).set(password="wrong")
    with pytest.raises(asyncpg.InvalidPasswordError):
        await connect(url.render_as_string(hide_password=False))


async def test_two_databases_do_not_see_each_other(make_database: MakeDatabase) -> None:
    first, second = await connect(make_database()), await connect(make_database())
    await first.execute("CREATE TABLE mine (id int)")
    assert await second.fetchval("SELECT to_regclass('mine')") is None
    await first.close()
    await second.close()


async def test_a_session_sees_the_transaction_start_of_its_own_role(make_database: MakeDatabase) -> None:
    url = make_database()
    writer, watcher = await connect(url), await connect(url)
    await writer.execute("SET application_name = 'writer'")
    await writer.execute("BEGIN")
    assert (
        await watcher.fetchval("SELECT xact_start FROM pg_stat_activity WHERE application_name = 'writer'") is not None
    )
    await writer.close()
    await watcher.close()


@pytest.mark.parametrize("attempt", [1, 2])
async def test_topics_are_emptied_and_records_have_the_brokers_time(kafka: SharedKafka, attempt: int) -> None:
    kafka.fresh_topics("local-test", partitions=2)
    producer = AIOKafkaProducer(bootstrap_servers=kafka.bootstrap)
    await producer.start()
    sent = await producer.send_and_wait("local-test", b"hello", partition=1, timestamp_ms=1)
    await producer.stop()
    assert sent.offset == 0

    consumer = AIOKafkaConsumer(bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest")
    await consumer.start()
    consumer.assign([TopicPartition("local-test", 1)])
    record = await consumer.getone()
    await consumer.stop()
    assert record.value == b"hello"
    assert record.timestamp > 1_700_000_000_000
