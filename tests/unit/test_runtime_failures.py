"""What an error is called where an operator reads it."""

import pytest
from tocsin.events.errors import InvalidEventError
from tocsin.runtime.database.dead_letters import failure_reason
from tocsin.runtime.database.engine import describe_failure
from tocsin.runtime.errors import PoisonMessageError


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (InvalidEventError("unknown event type 'x'"), "unknown event type 'x'"),
        (PoisonMessageError("cannot be\0"), "cannot be\ufffd"),
        (KeyError("ticket"), "internal error: KeyError('ticket')"),
        (PoisonMessageError("x" * 2000), "x" * 1000),
    ],
)
def test_the_reason_of_a_dead_letter_is_a_description(error: Exception, reason: str) -> None:
    assert failure_reason(error) == reason


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (TimeoutError(), "it did not respond in time"),
        (ConnectionResetError(), "the connection failed"),
        (OSError("no route.\nto host."), "no route. to host"),
    ],
)
def test_a_failure_of_the_database_is_described(error: Exception, description: str) -> None:
    assert describe_failure(error) == description
