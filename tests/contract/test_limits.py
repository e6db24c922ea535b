"""The limits in the code are those that intake's README documents and that webhook senders require."""

from pathlib import Path

import pytest
from intake.domain.mail import MAX_MAIL_BYTES
from intake.service import BATCH_BYTES, BATCH_WAIT_SECONDS, MAX_BATCHES, WAIT_SECONDS
from intake.sources import signing_keys
from intake.workers import webhook_worker, write_queue
from tocsin.runtime.http import body_limit, h11_protocol, limits_middleware, server

README = (Path(__file__).parents[2] / "services/intake/README.md").read_text()
AUTOTASK_SECONDS = 10


@pytest.mark.parametrize(
    "documented",
    [
        f"| request body | {limits_middleware.DEFAULT_LIMIT:,} bytes; batch {BATCH_BYTES:,}; mail {MAX_MAIL_BYTES:,} |",
        f"| time to receive a body | {body_limit.BODY_SECONDS:g} s, "
        f"and 1 s more for each {body_limit.LEAST_RATE:,} bytes |",
        f"| bodies in transit per process | {body_limit.MOST_BODIES:,}; together {body_limit.MOST_BYTES:,} bytes,",
        f"| headers of a request | {limits_middleware.MOST_HEADERS}; {limits_middleware.HEADER_BYTES:,} bytes "
        f"including the address; {h11_protocol.HEADER_SECONDS:g} s to arrive |",
        f"| connections per process; idle time | {h11_protocol.MOST_CONNECTIONS:,}; {server.IDLE_SECONDS} s |",
        f"| requests in progress; write queue | {limits_middleware.MOST_REQUESTS:,}; {write_queue.MAX_WAITING} single ",
        f"| expected wait, once more than {2 * write_queue.GROUP_SIZE} are in progress (batches: 4) | "
        f"{write_queue.MAX_WAIT_SECONDS:g} s for single tickets and events, {webhook_worker.STORE_SECONDS:g} s for "
        f"webhooks and mails, {BATCH_WAIT_SECONDS:g} s for batches (at most {MAX_BATCHES}) |",
    ],
)
def test_a_documented_limit_is_enforced(documented: str) -> None:
    assert documented in README


def test_a_webhook_is_answered_before_autotask_gives_up() -> None:
    longest = webhook_worker.STORE_SECONDS + webhook_worker.PROCESS_SECONDS + webhook_worker.RESCHEDULE_SECONDS
    assert longest <= 0.8 * AUTOTASK_SECONDS


def test_without_the_database_a_response_comes_within_the_documented_time() -> None:
    assert WAIT_SECONDS <= 2
    assert write_queue.RESPONSE_SECONDS <= 5
    assert "PostgreSQL a request is 503 within two seconds. If PostgreSQL hangs, a request is 503 within five" in README


def test_a_signing_key_is_fetched_within_ten_seconds_and_64_kib_and_kept_for_an_hour() -> None:
    assert signing_keys._TIMEOUT_SECONDS == 10
    assert signing_keys._MAX_BYTES == 64 * 1024
    assert signing_keys._KEY_TTL_SECONDS == 3600
