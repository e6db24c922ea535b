"""Mails composed as the service composes them, without a service."""

from collections.abc import Mapping
from datetime import datetime, timedelta, tzinfo
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from zoneinfo import ZoneInfo

from notifier.domain.delivery import Delivery, Notification, Now
from notifier.domain.mail_history import EarlierMail
from notifier.domain.message import Mail, MailSender
from notifier.domain.new_delivery import delivery_for
from notifier.domain.rendering import MailTemplates
from notifier.domain.template_context import Involved, Reader, Redelivery
from notifier.handlers.claims import Claim
from notifier.sources.mail_templates import built_in_templates
from notifier.workers.composer import LinkSource, MailComposer
from tocsin.acknowledgement import LinkSigner

from support.notifier_events import NOON, escalation

NOW = NOON + timedelta(hours=1, minutes=5)
NEW_YORK = ZoneInfo("America/New_York")
LINKS = LinkSigner(["a key for the links of tests only"])
PAGES = {"connectwise": "https://psa.example.com/tickets/{external_id}"}
READER = Reader(
    "dana", "Dana Østergård", "dana@example.com", "service_desk_team_lead", "Service Desk Team Lead", 1, "default"
)


def make_composer(
    templates: MailTemplates | None = None,
    *,
    ticket_urls: dict[str, str] | None = None,
    reply_to: str | None = None,
    zones: Mapping[str, tzinfo] | None = None,
) -> MailComposer:
    """A composer for readers in New York, or in `zones` by person."""
    return MailComposer(
        MailSender("tocsin@example.com", reply_to),
        LinkSource(
            LINKS,
            "https://sla.example.com",
            timedelta(days=7),
            PAGES if ticket_urls is None else ticket_urls,
            "https://example.com/how-to-get-help",
        ),
        templates or built_in_templates(),
        NEW_YORK,
        (zones or {}).get,
    )


COMPOSER = make_composer()


def compose(
    notification: Notification,
    *earlier: EarlierMail,
    reader: Reader = READER,
    by: MailComposer = COMPOSER,
    now: datetime = NOW,
    late: bool = False,
    references: tuple[str, ...] = (),
    redelivery: Redelivery | None = None,
    involved: Involved | None = None,
) -> Mail:
    """The mail about `notification` for `reader`, in the first attempt."""
    claim = Claim(_delivery(redelivery), notification, reader, earlier, references, (), involved or Involved())
    return by.compose(claim, now, late=late)


def _delivery(redelivery: Redelivery | None) -> Delivery:
    now = Now(NOW, NOW)
    first = delivery_for(escalation(), now)
    if redelivery is None:
        return first
    return first.successor(
        now, queued_at=redelivery.at, redelivery_number=redelivery.number, redelivered_by=redelivery.by
    )


def parse(mail: Mail) -> EmailMessage:
    parsed = message_from_bytes(mail.raw, policy=default)
    assert isinstance(parsed, EmailMessage)
    return parsed
