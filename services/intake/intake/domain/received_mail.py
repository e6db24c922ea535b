"""A mail with its author and its mailbox, and its description for people. Pure."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Final

from tocsin.characters import one_line
from tocsin.events import Mailbox
from tocsin.mail import EmailAddress
from tocsin.policy import MailboxRule

from intake.domain.mail import AutomaticSign, IgnoredReason, InboundMail, reference_of
from intake.domain.mail_author import MailAuthor, find_author
from intake.domain.webhooks.config.integrations import MailIntegration

EMAIL: Final = "email"
"""The source of every ticket that a mail opens, and the provider of every stored mail."""

_MAX_SUBJECT: Final = 80
_ALLOW: Final = "If it is a request, add the sender to `allow_automatic` under `email`, then replay the delivery."
_OPENED_BEFORE: Final = "Earlier mails of this sender opened tickets."
_BOUNCE: Final = "If it is about a mail of the notifier, deliver it to the notifier: POST /v1/bounces."
_OWN: Final = "Mails of this system are never requests."
_ANSWER: Final = "If a person wrote it, open the ticket with POST /v1/tickets."


@dataclass(frozen=True, slots=True)
class ReceivedMail:
    """A mail with its author, by `email` of integrations.yaml, and its mailbox, by the policy.

    `reference` is its short id: the external id of the ticket that it opens, and part of the ids of its events.
    """

    mail: InboundMail
    received_at: datetime
    integration: MailIntegration
    author: MailAuthor
    mailbox: Mailbox
    reference: str

    # docs/rules.md#6-27
    @property
    def ignored(self) -> AutomaticSign | None:
        """The sign by which the mail is ignored; None if a human wrote it, or if it is the request of a machine."""
        sign, config = self.mail.automatic, self.integration.config
        return None if sign and sign.may_be_request and config.allows_automatic(self.author.address.email) else sign

    @property
    def recipients_outside(self) -> list[EmailAddress]:
        """The recipients who are not our own staff."""
        return [each for each in self.mail.recipients if not self.integration.config.is_ours(each.email)]

    @property
    def is_of_it_contact(self) -> bool:
        """Whether it is a mail from the customer's IT contact to Escalations@."""
        return self.mailbox == "escalations" and self.author.is_it_contact

    @property
    def correspondents(self) -> list[str]:
        """The addresses, in lower case, that may be the contact's of a ticket of any tool."""
        if self.author.is_staff:
            return [address.email for address in self.recipients_outside]
        return [self.author.address.email] if self.author.is_authenticated else []

    @property
    def is_reply_to_outside(self) -> bool:
        """Whether it is a reply by our staff to somebody outside."""
        return self.author.is_staff and bool(self.mail.references) and bool(self.recipients_outside)

    def as_other_mail(self) -> "ReceivedMail":
        """The mail with a reference of its own, because another mail has its Message-ID (docs/rules.md#6-26)."""
        mail, author = self.mail, self.author.address.email
        return replace(self, reference=reference_of(f"{mail.message_id} {mail.digests.content.hex()} {author}"))


def classify_mail(
    mail: InboundMail,
    received_at: datetime,
    integration: MailIntegration,
    mailboxes: Mapping[Mailbox, MailboxRule],
) -> ReceivedMail:
    """The mail with its author and mailbox: Escalations@ if that is a recipient, otherwise Support@."""
    recipients = {address.email for address in mail.recipients} | set(mail.delivered_to)
    escalations = mailboxes.get("escalations")
    is_escalation = escalations is not None and escalations.address.lower() in recipients
    author = find_author(mail, integration, {rule.address.lower() for rule in mailboxes.values()})
    if mail.automatic is not None:  # a machine neither responds for us nor escalates for the customer
        author = replace(author, is_staff=False, is_it_contact=False)
    mailbox: Mailbox = "escalations" if is_escalation else "support"
    return ReceivedMail(mail, received_at, integration, author, mailbox, mail.reference)


# docs/rules.md#6-28
def describe_ignored(received: ReceivedMail, sign: AutomaticSign, *, opened_before: bool) -> str:
    """Why a mail is ignored, from whom it is, and what to do; `opened_before`: mails of its author opened tickets."""
    advice = f"{_OPENED_BEFORE} {_ALLOW}" if opened_before else _advice(sign)
    return describe_mail(received, f"{sign.text}. {advice}")


def describe_mail(received: ReceivedMail, text: str) -> str:
    """The text with the author and the subject of the mail."""
    subject = one_line(received.mail.subject, _MAX_SUBJECT) or "(no subject)"
    return f"{text} From {received.author.address.email}: {subject}"


def _advice(sign: AutomaticSign) -> str:
    if sign.may_be_request:
        return _ALLOW
    if sign.reason in (IgnoredReason.BOUNCE, IgnoredReason.EMPTY_RETURN_PATH):
        return _BOUNCE
    return _OWN if sign.reason is IgnoredReason.OWN_MAIL else _ANSWER
