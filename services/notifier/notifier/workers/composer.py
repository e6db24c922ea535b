"""Composes mails: chooses templates, time zone, sender and links."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from functools import partial
from uuid import UUID

import structlog
from tocsin.acknowledgement import LinkSigner
from tocsin.events import ReportReady
from tocsin.links import ticket_page

from notifier import metrics
from notifier.domain.acknowledgement import acknowledgement_link
from notifier.domain.delivery import Notification
from notifier.domain.digest_mail import DigestContext, DigestItem, as_item, build_digest, render_digest
from notifier.domain.message import Mail, MailSender, build_message
from notifier.domain.rendering import MailTemplates, RenderedMail, describe_failure, render_mail
from notifier.domain.report_mail import ReportContext, build_report_mail, render_report
from notifier.domain.template_context import MailContext, Pages, Reader, Redelivery
from notifier.errors import UnmailableAddressError
from notifier.handlers.claims import Claim, ClaimedMail
from notifier.sources.mail_templates import built_in_templates

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class LinkSource:
    """What a mail's links are made from.

    `public_url` is intake's base URL, `life` is how long an acknowledgement link is valid, `ticket_urls` are the
    templates of ticket pages by source, and `help_guide` is the address of the How to Get Help Guide.
    """

    links: LinkSigner
    public_url: str
    life: timedelta
    ticket_urls: Mapping[str, str]
    help_guide: str | None = None


class MailComposer:
    """Composes a mail for a claimed delivery, or a digest for several.

    `zone_of(person)` returns the person's own time zone, or None to show instants in `zone`. `never_mailed` are the
    addresses of the mailboxes that receive tickets, in lower case (docs/rules.md#6-10).
    """

    def __init__(
        self,
        sender: MailSender,
        links: LinkSource,
        templates: MailTemplates,
        zone: tzinfo,
        zone_of: Callable[[str], tzinfo | None],
        never_mailed: Collection[str] = (),
    ) -> None:
        self._sender = sender
        self._links = links
        self._templates = templates
        self._zone = zone
        self._zone_of = zone_of
        self._never_mailed = never_mailed

    def compose(self, claim: Claim, now: datetime, *, late: bool) -> Mail:
        """Compose the mail of a claimed delivery at the business instant `now`.

        Raises UnmailableAddressError if no server could accept the reader's address, or the address must never be
        mailed. Raises UnsafeMailError if the message, parsed again, is not what was intended.
        """
        notification, reader, delivery = claim.notification, claim.reader, claim.delivery
        self._check(reader)
        redelivery = (
            Redelivery(delivery.redelivered_by or "", delivery.queued_at, delivery.redelivery_number)
            if delivery.redelivery_number
            else None
        )
        late = late and redelivery is None  # a redelivery says when it was requested instead
        zone = self._zone_of(reader.person) or self._zone
        if isinstance(notification, ReportReady):
            report = ReportContext(report=notification, reader=reader, zone=zone, late=late, redelivery=redelivery)
            return build_report_mail(report, self._render(partial(render_report, report)), self._sender)
        mail = MailContext(
            notification=notification,
            reader=reader,
            earlier=claim.earlier,
            now=now,
            late=late,
            zone=zone,
            pages=self._pages(notification, claim, now),
            redelivery=redelivery,
            involved=claim.involved,
        )
        rendered = self._render(lambda templates: render_mail(mail, templates))
        return build_message(
            notification,
            reader,
            rendered,
            self._sender,
            late=late,
            references=claim.references,
            redelivery=redelivery,
        )

    def compose_digest(self, mail: ClaimedMail, digest_id: UUID, now: datetime, late: Collection[UUID]) -> Mail:
        """Compose the digest of a claimed mail. `late` are the ids of its late deliveries. Raises as `compose` does."""
        first = mail.claims[0]
        self._check(first.reader)

        def item(claim: Claim, *, is_withdrawn: bool) -> DigestItem:
            is_late, urls = claim.delivery.id in late, self._links.ticket_urls
            return as_item(claim.notification, urls, is_late=is_late, is_withdrawn=is_withdrawn)

        digest = DigestContext(
            digest_id=digest_id,
            items=[
                *(item(claim, is_withdrawn=False) for claim in mail.claims),
                *(item(claim, is_withdrawn=True) for claim in mail.withdrawn),
            ],
            reader=first.reader,
            role_titles=list(dict.fromkeys(claim.reader.role_title for claim in mail.claims)),
            now=now,
            zone=self._zone_of(first.reader.person) or self._zone,
        )
        return build_digest(digest, self._render(lambda templates: render_digest(digest, templates)), self._sender)

    def _check(self, reader: Reader) -> None:
        if reader.email.lower() in self._never_mailed:
            raise UnmailableAddressError(f"553 {reader.email} is a mailbox that receives tickets and is never mailed")

    def _render(self, render: Callable[[MailTemplates], RenderedMail]) -> RenderedMail:
        """Render with the deployment's templates; if one fails, use the built-in ones, so that the mail is sent."""
        if not self._templates.is_own:
            return render(self._templates)
        try:
            return render(self._templates)
        except Exception as error:  # a template can raise anything
            metrics.TEMPLATE_FALLBACKS.inc()
            log.error("mail_template_failed", problem=describe_failure(error))
            return render(built_in_templates())

    def _pages(self, notification: Notification, claim: Claim, now: datetime) -> Pages:
        links = self._links
        pages = Pages(ticket_page(links.ticket_urls, notification.ticket), help_guide=links.help_guide)
        expires_at = now + links.life
        acknowledgement = acknowledgement_link(notification, claim.reader, claim.earlier, expires_at)
        if acknowledgement is None:
            return pages
        url = f"{links.public_url}/ack/{links.links.sign(acknowledgement)}"
        return replace(pages, acknowledge=url, expires_at=expires_at)
