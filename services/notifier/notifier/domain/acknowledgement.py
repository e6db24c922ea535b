"""The content of the acknowledgement link in a step's mail (docs/decisions/0026-acknowledgement-link.md). Pure."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from tocsin.acknowledgement import AcknowledgementLink, NotifiedPerson
from tocsin.characters import one_line
from tocsin.events import Notify, Tier, UpcomingStep

from notifier.domain.delivery import Notification
from notifier.domain.mail_history import EarlierMail
from notifier.domain.template_context import Reader

_NAME: Final = 60
_SHORT_NAME: Final = 40
_NOTIFIED: Final = 5
"""Names are cut and the list is short, so that no link is too long for a mail program."""


def acknowledgement_link(
    notification: Notification, reader: Reader, earlier: Sequence[EarlierMail], expires_at: datetime
) -> AcknowledgementLink | None:
    """The link in the mail of a step to `reader`; None for any other mail. `earlier`: the mails that this one lists."""
    if not isinstance(notification, Notify):
        return None
    if (
        notification.run is None
        or notification.step is None
        or notification.tier is None
        or notification.reason is None
    ):
        return None
    following = notification.upcoming
    return AcknowledgementLink(
        tenant=notification.ticket.tenant,
        ticket_id=notification.ticket_id,
        cycle=notification.cycle,
        run=notification.run,
        step=notification.step,
        tier=_shorten(notification.tier),
        reason=notification.reason,
        person=reader.person,
        name=one_line(reader.called, _NAME),
        upcoming=UpcomingStep(at=following.at, tier=_shorten(following.tier) if following.tier else None)
        if following
        else None,
        due_at=notification.due_at,
        notified=tuple(
            NotifiedPerson(
                tier=mail.tier,
                title=one_line(mail.title, _SHORT_NAME),
                name=one_line(mail.name, _SHORT_NAME) if mail.name else None,
                at=mail.scheduled_at,
            )
            for mail in reversed(earlier)
            if mail.tier is not None
        )[:_NOTIFIED],
        expires_at=expires_at,
    )


def _shorten(tier: Tier) -> Tier:
    return tier.model_copy(update={"title": one_line(tier.title, _NAME)})
