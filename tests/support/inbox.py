"""Mails as the SMTP sink received them."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class ReceivedMail:
    """A mail with its recipient and its headers."""

    to: str
    subject: str
    text: str
    headers: Mapping[str, str]
    ticket_ids: Sequence[str]
    """One; several in a digest."""

    @property
    def kind(self) -> str:
        return self.headers["Tocsin-Kind"]

    @property
    def message_id(self) -> str:
        return self.headers["Message-ID"]

    @property
    def tier(self) -> int:
        return int(self.headers["Tocsin-Tier"])

    @property
    def reason(self) -> str:
        return self.headers["Tocsin-Reason"]

    @property
    def run(self) -> int:
        return int(self.headers["Tocsin-Run"])

    @property
    def scheduled_at(self) -> str:
        return self.headers["Tocsin-Scheduled-At"]

    @property
    def is_late(self) -> bool:
        return self.headers.get("Tocsin-Late") == "yes"


def parse_message(message: Mapping[str, Any]) -> ReceivedMail:
    """Reads one element of the inbox's `GET /messages`."""
    tickets = [value for name, value in message["headers"] if name == "Tocsin-Ticket"]
    return ReceivedMail(message["rcpt_to"][0], message["subject"], message["text"], dict(message["headers"]), tickets)


def tiers(mails: Sequence[ReceivedMail]) -> list[int]:
    """The tier of each escalation mail, in order."""
    return [mail.tier for mail in mails]


def count_by_kind(mails: Iterable[ReceivedMail]) -> Counter[str]:
    """How many mails there are of each kind."""
    return Counter(mail.kind for mail in mails)
