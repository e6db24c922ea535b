"""The limits are those that intake's README promises, and those that a tool or ConnectWise sets us."""

from pathlib import Path

import pytest
from intake import signing_keys
from intake.__main__ import BATCH_BYTES, WAIT_SECONDS
from intake.api import deliveries, taking
from intake.api.mails import MAIL_BYTES
from tocsin.runtime import bodies, connections, edge, service

README = (Path(__file__).parents[2] / "services/intake/README.md").read_text()
AUTOTASK_SECONDS = 10


@pytest.mark.parametrize(
    "promised",
    [
        f"| a body | {edge.DEFAULT_LIMIT:,} bytes; a batch {BATCH_BYTES:,} |",
        f"| a whole body's time | {bodies.BODY_SECONDS:g} s, and 1 s more for each {bodies.LEAST_RATE:,} bytes |",
        f"| bodies on their way at once, in one process | {bodies.MOST_BODIES:,}; "
        f"held together, {bodies.MOST_BYTES:,} bytes,",
        f"| a mail; its headers | {MAIL_BYTES:,} bytes;",
        f"| headers | {edge.MOST_HEADERS}; {edge.HEADER_BYTES:,} bytes with the address; "
        f"{connections.HEADER_SECONDS:g} s to come |",
        f"| connections of one process; an idle one | {connections.MOST_CONNECTIONS:,}; {service.IDLE_SECONDS} s |",
        f"| requests in progress; single tickets and events that wait to be stored | {edge.MOST_REQUESTS:,}; "
        f"{taking.MOST_WAITING} |",
    ],
)
def test_what_is_promised_is_what_is_enforced(promised: str) -> None:
    assert promised in README


def test_a_hook_is_answered_well_inside_what_autotask_waits() -> None:
    longest = deliveries._KEEP_SECONDS + deliveries.TAKE_SECONDS + deliveries._POSTPONE_SECONDS
    assert longest <= 0.8 * AUTOTASK_SECONDS


def test_without_its_database_a_caller_is_told_within_what_is_promised() -> None:
    assert WAIT_SECONDS <= 2
    assert taking.ANSWER_SECONDS <= 5
    assert "PostgreSQL a request is 503 within two seconds, without an answer from it within five" in README


def test_a_signing_key_is_fetched_within_ten_seconds_and_64_kib_and_kept_for_an_hour() -> None:
    assert signing_keys._SECONDS == 10
    assert signing_keys._LARGEST == 64 * 1024
    assert signing_keys._KEPT_SECONDS == 3600
