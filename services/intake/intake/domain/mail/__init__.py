"""Reading mails (RFC 5322). Pure."""

from intake.domain.mail.headers import EmailAddress
from intake.domain.mail.message import (
    MAX_MAIL_BYTES,
    MAX_SUBJECT_LENGTH,
    MAX_TEXT_LENGTH,
    InboundMail,
    read_mail,
    reference_of,
)

__all__ = [
    "MAX_MAIL_BYTES",
    "MAX_SUBJECT_LENGTH",
    "MAX_TEXT_LENGTH",
    "EmailAddress",
    "InboundMail",
    "read_mail",
    "reference_of",
]
