"""A message as RFC 5322 writes it, read into what intake needs of it. Pure."""

from intake.domain.mail.headers import Address
from intake.domain.mail.message import (
    LONGEST_SUBJECT,
    LONGEST_TEXT,
    InboundMail,
    UnreadableMailError,
    read_mail,
    reference_of,
)

__all__ = [
    "LONGEST_SUBJECT",
    "LONGEST_TEXT",
    "Address",
    "InboundMail",
    "UnreadableMailError",
    "read_mail",
    "reference_of",
]
