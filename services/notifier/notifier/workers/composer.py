"""Composes every mail: in which templates and zone, from whom, and with which links."""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo

import structlog
from tocsin.acknowledgement import AcknowledgementLink, LinkSigner
from tocsin.business_time import load_zone
from tocsin.events import Notify, StandDown, Tier, UpcomingStep
from tocsin.sources.directory_file import DirectoryFile
from tocsin.sources.policy_file import mailboxes_of

from notifier import metrics
from notifier.domain.links import ticket_page
from notifier.domain.message import Mail, Sender, UnmailableAddress, compose
from notifier.domain.rendering import Letter, write
from notifier.domain.sanitize import one_line
from notifier.domain.template_context import Pages, Reader, Redelivery, Telling, Told
from notifier.domain.templating import BUILT_IN, Templates, failure
from notifier.settings import Settings

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Linking:
    """How a mail's links are made: `public_url` is intake's base, `ticket_urls` the pages of tickets by source."""

    links: LinkSigner
    public_url: str
    life: timedelta
    ticket_urls: Mapping[str, str]


class Letters:
    """Built once at the start. `zone_of` says in which zone a person lives; None: in `zone`, as far as is known.

    `never` are the mailboxes that tickets come in by, in lower case: the system never mails them (RULES 6).
    """

    def __init__(
        self,
        sender: Sender,
        linking: Linking,
        templates: Templates,
        zone: tzinfo,
        zone_of: Callable[[str], tzinfo | None],
        never: Collection[str] = (),
    ) -> None:
        self._sender = sender
        self._linking = linking
        self._templates = templates
        self._zone = zone
        self._zone_of = zone_of
        self._never = never

    def compose(
        self,
        notice: Notify | StandDown,
        reader: Reader,
        told: Sequence[Told],
        *,
        now: datetime,
        late: bool,
        before: Sequence[str] = (),
        redelivery: Redelivery | None = None,
    ) -> Mail:
        """The mail that tells `reader` of `notice` at the business instant `now`.

        `told` is who was told before in the same ladder (for a stand-down: what this reader was mailed), oldest first.
        `before` are the Message-IDs of what `reader` was mailed earlier in the ticket's cycle, oldest first.
        `redelivery`: the mail is marked as asked for once more.
        Raises UnmailableAddress where the reader's address cannot be written for any server, or is never mailed, and
        UnsafeMail where the message, parsed again, is not what was meant.
        """
        if reader.email.lower() in self._never:
            raise UnmailableAddress(f"553 {reader.email} is a mailbox that tickets come in by, and is never mailed")
        zone = self._zone_of(reader.person) or self._zone
        pages = self._pages(notice, reader, now)
        letter = self._written(Telling(notice, reader, told, now, late, zone, pages, redelivery))
        return compose(notice, reader, letter, self._sender, late=late, before=before, redelivery=redelivery)

    def _written(self, telling: Telling) -> Letter:
        """In the deployment's templates; where one fails, in ours: a mail in other words beats none."""
        if self._templates.folder is None:
            return write(telling, BUILT_IN)
        try:
            return write(telling, self._templates)
        except Exception as error:  # whatever a template does: it is told, counted, and done without
            metrics.TEMPLATE_FALLBACKS.inc()
            log.error("mail_template_failed", problem=failure(error), used_instead="the built-in ones")
            return write(telling, BUILT_IN)

    def _pages(self, notice: Notify | StandDown, reader: Reader, now: datetime) -> Pages:
        linking = self._linking
        page = ticket_page(linking.ticket_urls, notice.ticket)
        expires_at = now + linking.life
        meant = _acknowledgement(notice, reader, expires_at) if isinstance(notice, Notify) else None
        if meant is None:
            return Pages(page)
        return Pages(page, f"{linking.public_url}/ack/{linking.links.sign(meant)}", expires_at)


def letters_from(settings: Settings, directory: DirectoryFile) -> Letters:
    """As the settings say; each reader's zone is asked of the directory. Raises PolicyError and OSError."""

    def zone_of(person: str) -> tzinfo | None:
        found = directory.current()
        someone = found.people.get(person) if found else None
        return load_zone(someone.zone) if someone and someone.zone else None

    return Letters(
        Sender(settings.mail_from, settings.reply_to),
        Linking(settings.links, settings.public_url, settings.link_life, settings.ticket_urls),
        Templates(settings.mail_templates),
        settings.zone,
        zone_of,
        mailboxes_of(settings.policy),
    )


def _acknowledgement(notice: Notify, reader: Reader, expires_at: datetime) -> AcknowledgementLink | None:
    """What the link of an escalation's mail stands for; names are cut, so that every link stays short enough to use."""
    if notice.run is None or notice.step is None or notice.tier is None or notice.reason is None:
        return None
    following = notice.upcoming
    return AcknowledgementLink(
        tenant=notice.ticket.tenant,
        ticket_id=notice.ticket_id,
        cycle=notice.cycle,
        run=notice.run,
        step=notice.step,
        tier=_short(notice.tier),
        reason=notice.reason,
        person=reader.person,
        name=one_line(reader.called, 60),
        upcoming=UpcomingStep(at=following.at, tier=_short(following.tier) if following.tier else None)
        if following
        else None,
        expires_at=expires_at,
    )


def _short(tier: Tier) -> Tier:
    return tier.model_copy(update={"title": one_line(tier.title, 60)})
