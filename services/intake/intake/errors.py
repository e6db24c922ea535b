"""The errors of webhooks and mails.

UnmappedError                 a delivery is stored as unmapped, to be replayed later
UnreadableError               a webhook payload is not what the tool sends
UnreadableMailError           the bytes are not a mail with a sender
DuplicateMailError            another copy of the mail was stored at the same time
SigningKeyUnavailableError    ConnectWise's signing key cannot be fetched now
IntegrationsError             integrations.yaml is invalid
"""

from enum import StrEnum
from typing import Final, Self

from pydantic import ValidationError
from tocsin.yaml_document.reader import DocumentError


class UnmappedReason(StrEnum):
    """Why a delivery is stored as unmapped."""

    UNREADABLE = "unreadable"
    UNKNOWN_STATUS = "unknown_status"
    UNKNOWN_PRIORITY = "unknown_priority"
    MISSING_OPENING = "missing_opening"
    MISSING_QUEUE = "missing_queue"
    MISSING_SEVERITY = "missing_severity"
    MISSING_SERVICES = "missing_services"
    MISSING_CONTACT = "missing_contact"
    MISSING_CUSTOMER = "missing_customer"
    MISSING_SUMMARY = "missing_summary"
    NO_INTEGRATION = "no_integration"
    ANOTHER_TICKET = "another_ticket"
    REFUSED = "refused"
    FAILED = "failed"


MISSING_FIELDS: Final = (
    UnmappedReason.MISSING_OPENING,
    UnmappedReason.MISSING_QUEUE,
    UnmappedReason.MISSING_SEVERITY,
    UnmappedReason.MISSING_SERVICES,
    UnmappedReason.MISSING_CONTACT,
    UnmappedReason.MISSING_CUSTOMER,
    UnmappedReason.MISSING_SUMMARY,
)
"""The ticket cannot be opened yet, but a later delivery may state what is missing."""


class UnmappedError(Exception):
    """The configuration does not say what a delivery means; str() says what to add to it."""

    def __init__(self, reason: UnmappedReason, message: str) -> None:
        super().__init__(message)
        self.reason = reason

    @classmethod
    def invalid(cls, error: ValidationError) -> Self:
        """A ticket or an event that the API would reject, with the first error of the validation."""
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        return cls(UnmappedReason.REFUSED, f"{'.'.join(map(str, first['loc']))}: {first['msg']}")


class UnreadableError(Exception):
    """A payload is not what the tool sends; `field` says where, `message` what is wrong and how to fix it."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message


class UnreadableMailError(Exception):
    """The bytes are not a mail with a sender, or exceed a limit; str() says which."""


class DuplicateMailError(Exception):
    """Another copy of the mail was stored at the same time: roll back and try again."""


class SigningKeyUnavailableError(Exception):
    """The signing key cannot be fetched now; a later attempt may succeed."""


class IntegrationsError(DocumentError):
    """integrations.yaml is invalid; one line of the message per mistake."""
