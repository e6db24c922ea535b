"""Mails in the sink."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Mail:
    """A mail with its recipient and headers."""

    to: str
    subject: str
    text: str
    headers: Mapping[str, str]

    @property
    def kind(self) -> str:
        return self.headers["Tocsin-Kind"]

    @property
    def ticket_id(self) -> str:
        return self.headers["Tocsin-Ticket"]

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
    def scheduled_at(self) -> str:
        return self.headers["Tocsin-Scheduled-At"]

    @property
    def late(self) -> bool:
        return self.headers.get("Tocsin-Late") == "yes"


def mail_of(message: Mapping[str, Any]) -> Mail:
    """From an element of the inbox's `GET /messages`."""
    return Mail(message["rcpt_to"][0], message["subject"], message["text"], dict(message["headers"]))


def tiers(mails: Sequence[Mail]) -> list[int]:
    return [mail.tier for mail in mails]


def kinds(mails: Iterable[Mail]) -> Counter[str]:
    return Counter(mail.kind for mail in mails)
