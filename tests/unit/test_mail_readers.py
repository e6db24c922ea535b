"""The rules of mail programs in tests/support/mail_clients.py separate mails that are not one conversation."""

from datetime import timedelta
from email import message_from_bytes
from email.policy import SMTP
from uuid import UUID

import pytest
from support.mail_clients import READERS
from support.notifier_events import NOON, about_clock, escalation
from support.notifier_mails import compose

FIRST = compose(about_clock("warning", event_id=UUID(int=2)))
SECOND = compose(escalation(), references=(FIRST.message_id,))
UNRELATED = compose(escalation())
ALL = dict.fromkeys(READERS, True)


def shown_as_one(first: bytes, second: bytes, later: timedelta) -> dict[str, bool]:
    """Which mail programs show two mails as one conversation."""
    arrived = [(NOON, first), (NOON + later, second)]
    found = {name: reader(arrived) for name, reader in READERS.items()}
    return {name: one == other for name, (one, other) in found.items()}


def changed(raw: bytes, **headers: str | None) -> bytes:
    """The message with other headers; None removes one."""
    message = message_from_bytes(raw, policy=SMTP)
    for name, value in headers.items():
        del message[name.replace("_", "-")]
        if value is not None:
            message[name.replace("_", "-")] = value
    return message.as_bytes()


def test_two_mails_of_a_cycle_are_one_conversation_even_a_year_later() -> None:
    assert shown_as_one(FIRST.raw, SECOND.raw, timedelta()) == ALL
    assert shown_as_one(FIRST.raw, SECOND.raw, timedelta(days=365)) == ALL


def test_gmail_joins_by_an_unseen_root_for_a_week_only() -> None:
    assert shown_as_one(FIRST.raw, UNRELATED.raw, timedelta(days=7)) == ALL
    assert shown_as_one(FIRST.raw, UNRELATED.raw, timedelta(days=8)) == ALL | {"Gmail": False}


@pytest.mark.parametrize(
    ("headers", "separated_in"),
    [
        ({"Subject": "Something else"}, {"Gmail"}),
        ({"References": "<1@a>", "In_Reply_To": "<1@a>"}, {"Gmail"}),
        ({"References": "<1@a>", "In_Reply_To": "<1@a>", "Subject": "Something else"}, {"Gmail", "Apple Mail"}),
        ({"Thread_Topic": "Something else"}, {"Outlook"}),
        ({"Thread_Index": "AQHc9z5UiBSbgtY2Vyy4b01EsFJV8w=="}, {"Outlook, index tracked"}),
        ({"Thread_Topic": None, "Subject": "Something else"}, {"Gmail", "Outlook"}),
    ],
)
def test_another_subject_or_thread_separates_a_mail(headers: dict[str, str | None], separated_in: set[str]) -> None:
    found = shown_as_one(FIRST.raw, changed(SECOND.raw, **headers), timedelta())
    assert {name for name, one in found.items() if not one} == separated_in
