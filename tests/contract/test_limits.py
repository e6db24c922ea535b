"""The limits are those that intake's README promises, and those that a tool or ConnectWise sets us."""

from pathlib import Path

import pytest
from intake.domain.mail import MAX_MAIL_BYTES
from intake.service import BATCH_BYTES, WAIT_SECONDS
from intake.sources import signing_keys
from intake.workers import webhook_worker, write_queue
from tocsin.runtime.http import body_limit, h11_protocol, limits_middleware
from tocsin.runtime.process import service

README = (Path(__file__).parents[2] / "services/intake/README.md").read_text()
AUTOTASK_SECONDS = 10


@pytest.mark.parametrize(
    "promised",
    [
        f"| a body | {limits_middleware.DEFAULT_LIMIT:,} bytes; a batch {BATCH_BYTES:,} |",
        f"| a whole body's time | {body_limit.BODY_SECONDS:g} s, "
        f"and 1 s more for each {body_limit.LEAST_RATE:,} bytes |",
        f"| bodies on their way at once, in one process | {body_limit.MOST_BODIES:,}; "
        f"held together, {body_limit.MOST_BYTES:,} bytes,",
        f"| a mail; its headers | {MAX_MAIL_BYTES:,} bytes;",
        f"| headers | {limits_middleware.MOST_HEADERS}; {limits_middleware.HEADER_BYTES:,} bytes with the address; "
        f"{h11_protocol.HEADER_SECONDS:g} s to come |",
        f"| connections of one process; an idle one | {h11_protocol.MOST_CONNECTIONS:,}; {service.IDLE_SECONDS} s |",
        f"| requests in progress; single tickets and events that wait to be stored | "
        f"{limits_middleware.MOST_REQUESTS:,}; "
        f"{write_queue.MAX_WAITING} |",
    ],
)
def test_what_is_promised_is_what_is_enforced(promised: str) -> None:
    assert promised in README


def test_a_webhook_is_answered_before_autotask_gives_up() -> None:
    longest = webhook_worker.STORE_SECONDS + webhook_worker.PROCESS_SECONDS + webhook_worker.RESCHEDULE_SECONDS
    assert longest <= 0.8 * AUTOTASK_SECONDS


def test_without_its_database_a_caller_is_told_within_what_is_promised() -> None:
    assert WAIT_SECONDS <= 2
    assert write_queue.RESPONSE_SECONDS <= 5
    assert "PostgreSQL a request is 503 within two seconds, without an answer from it within five" in README


def test_a_signing_key_is_fetched_within_ten_seconds_and_64_kib_and_kept_for_an_hour() -> None:
    assert signing_keys._TIMEOUT_SECONDS == 10
    assert signing_keys._MAX_BYTES == 64 * 1024
    assert signing_keys._KEY_TTL_SECONDS == 3600
