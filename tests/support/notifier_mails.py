"""Mails composed as the service composes them, without a service."""

from datetime import datetime, timedelta, tzinfo
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from typing import Any
from zoneinfo import ZoneInfo

from notifier.domain.message import Mail, Sender
from notifier.domain.template_context import Reader, Told
from notifier.domain.templating import BUILT_IN, Templates
from notifier.workers.composer import Letters, Linking
from tocsin.acknowledgement import LinkSigner
from tocsin.events import Notify, StandDown

from support.notifier_events import NOON

NOW = NOON + timedelta(hours=1, minutes=5)
NEW_YORK = ZoneInfo("America/New_York")
LINKS = LinkSigner(["a key for the links of tests only"])
PAGES = {"connectwise": "https://psa.example.com/tickets/{external_id}"}
LINKING = Linking(LINKS, "https://sla.example.com", timedelta(days=7), PAGES)
READER = Reader(
    "dana", "Dana Østergård", "dana@example.com", "service_desk_team_lead", "Service Desk Team Lead", 1, "default"
)


def letters(
    templates: Templates = BUILT_IN,
    *,
    linking: Linking = LINKING,
    reply_to: str | None = None,
    zones: dict[str, tzinfo] | None = None,
) -> Letters:
    return Letters(Sender("tocsin@example.com", reply_to), linking, templates, NEW_YORK, (zones or {}).get)


OURS = letters()


def mailed(
    notice: Notify | StandDown,
    *told: Told,
    reader: Reader = READER,
    by: Letters = OURS,
    now: datetime = NOW,
    late: bool = False,
    **how: Any,
) -> Mail:
    return by.compose(notice, reader, told, now=now, late=late, **how)


def parse(mail: Mail) -> EmailMessage:
    parsed = message_from_bytes(mail.raw, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed
