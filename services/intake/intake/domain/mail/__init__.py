"""Reading mails (RFC 5322). Pure."""

from intake.domain.mail.automatic import AutomaticSign, IgnoredReason
from intake.domain.mail.copies import ContentDigests
from intake.domain.mail.headers import EmailAddress
from intake.domain.mail.message import (
    MAX_MAIL_BYTES,
    MAX_SUBJECT_LENGTH,
    InboundMail,
    read_mail,
    reference_of,
)
from intake.domain.mail.origin import MailOrigin, hidden_address, is_made_up, name_before_via
from intake.domain.mail.own_text import own_text
from intake.domain.mail.shown_text import MAX_TEXT_LENGTH

__all__ = [
    "MAX_MAIL_BYTES",
    "MAX_SUBJECT_LENGTH",
    "MAX_TEXT_LENGTH",
    "AutomaticSign",
    "ContentDigests",
    "EmailAddress",
    "IgnoredReason",
    "InboundMail",
    "MailOrigin",
    "hidden_address",
    "is_made_up",
    "name_before_via",
    "own_text",
    "read_mail",
    "reference_of",
]
