"""Intake's errors.

    IntakeError
    ├── RejectedError                 the same request will be rejected again
    │   ├── TicketNotFoundError       the tenant has no such ticket
    │   ├── TicketConflictError       the ticket exists with another body
    │   ├── EventConflictError        the event exists with another body
    │   ├── EventIdConflictError      two events of one request have the same id
    │   ├── WorkaroundError           a workaround on severity 1
    │   ├── RecordTooLargeError       an event would exceed the size of a Kafka record
    │   └── IdempotencyConflictError  the Idempotency-Key belongs to another request
    ├── UnavailableError              the same request may succeed later
    │   ├── OutboxBacklogError        history waits until the outbox is shorter
    │   ├── WriteQueueFullError       too many requests wait to be stored
    │   ├── SigningKeyUnavailableError  ConnectWise's signing key cannot be fetched now
    │   ├── IntegrationsUnavailableError  integrations.yaml has not been valid since the start
    │   └── OriginalNotArrivedError   our own reply waits for the mail that it replies to
    └── StorageError                  the database refused a row: a bug, logged

    IdempotencyKeyInUseError          two concurrent requests have the same Idempotency-Key
    InvalidJsonError                  the bytes are not JSON
    JsonDepthError                    the JSON is nested too deeply
    UnreadableError                   a webhook payload is not what the tool sends
    UnmappedError                     the configuration does not say what a delivery means
    SigningKeyError                   a signing key cannot be fetched
    DuplicateMailError                another copy of the mail was stored at the same time
    IntegrationsError                 integrations.yaml is invalid

`str()` of an IntakeError is a sentence for the caller. `intake.api.problems` maps each class to an HTTP status.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final, Self

from pydantic import ValidationError
from tocsin.validation import describe_validation_error
from tocsin.yaml_document import DocumentError


class IntakeError(Exception):
    """Base of all errors that a caller of the API sees; `fields` maps each wrong field to its problem."""

    def __init__(self, detail: str, fields: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.fields = dict(fields or {})


class RejectedError(IntakeError):
    """The same request will be rejected again."""


class TicketNotFoundError(RejectedError):
    def __init__(self) -> None:
        super().__init__("Ticket not found.")


class TicketConflictError(RejectedError):
    def __init__(self) -> None:
        super().__init__(
            "A ticket with this source and external_id exists with a different body. Post changes as events."
        )


class EventConflictError(RejectedError):
    def __init__(self) -> None:
        super().__init__("An event with this event_id exists on the ticket with a different body.")


class EventIdConflictError(RejectedError):
    def __init__(self, index: int) -> None:
        field = f"events[{index}].event_id"
        super().__init__("Two different events of this ticket have the same event_id.", {field: "is not unique"})


class WorkaroundError(RejectedError):
    """A workaround on a ticket that is severity 1 at that instant (docs/rules.md#0-9)."""

    def __init__(self) -> None:
        super().__init__(
            "A workaround is not acceptable on severity 1: lower the severity first (severity_changed), or resolve it."
        )


class RecordTooLargeError(RejectedError):
    def __init__(self, limit: int) -> None:
        super().__init__(f"The event exceeds the limit of {limit} bytes. Post it in smaller parts.")


class IdempotencyConflictError(RejectedError):
    def __init__(self) -> None:
        field = {"Idempotency-Key": "was used for another request within 24 hours"}
        super().__init__("This Idempotency-Key belongs to another request.", field)


class UnavailableError(IntakeError):
    """The same request may succeed in `retry_after` seconds."""

    def __init__(self, detail: str, retry_after: int) -> None:
        super().__init__(detail)
        self.retry_after = retry_after


class OutboxBacklogError(UnavailableError):
    def __init__(self) -> None:
        super().__init__("The outbox is backed up. Retry historic imports later.", retry_after=5)


class WriteQueueFullError(UnavailableError):
    def __init__(self) -> None:
        super().__init__("The server is busy (write queue full). Retry.", retry_after=1)


class SigningKeyUnavailableError(UnavailableError):
    def __init__(self) -> None:
        super().__init__("The signing key cannot be fetched now. Retry.", retry_after=30)


class IntegrationsUnavailableError(UnavailableError):
    """integrations.yaml has not been valid since the start, so it is unknown who may deliver what."""

    def __init__(self) -> None:
        super().__init__("integrations.yaml is invalid. Retry when it has been corrected.", retry_after=60)


class OriginalNotArrivedError(UnavailableError):
    """Our own reply waits for the mail that it replies to (docs/rules.md#6-19)."""

    def __init__(self) -> None:
        super().__init__("Staff reply to a mail that has not arrived yet.", retry_after=30)


class StorageError(IntakeError):
    def __init__(self) -> None:
        super().__init__("Internal error (logged). The other items of the batch are not affected.")


class IdempotencyKeyInUseError(Exception):
    """Two concurrent requests have the same Idempotency-Key: only in turn can the second one be checked."""


class InvalidJsonError(ValueError):
    """The bytes are not JSON, or are nested too deeply to be read; str() says which."""


class JsonDepthError(ValueError):
    """JSON that is nested too deeply.

    `field` is the outermost field concerned as a caller writes it (`events[2]`; empty: the whole body), `message` what
    is wrong with it.
    """

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field or 'the body'} {message}")
        self.field = field
        self.message = message


class UnmappedReason(StrEnum):
    """Why a delivery is stored as unmapped.

    no_ticket: it lacks the ticket that it is about, or has only its id. deactivated: the tool has switched its webhook
    off, so no more tickets arrive.
    """

    UNREADABLE = "unreadable"
    NO_TICKET = "no_ticket"
    DEACTIVATED = "deactivated"
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
    TOO_MANY = "too_many"
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
        return cls(UnmappedReason.REFUSED, describe_validation_error(error))


class UnreadableError(Exception):
    """A payload is not what the tool sends; `field` says where, `message` what is wrong and how to fix it.

    `reason` is the one for which the delivery is stored as unmapped.
    """

    def __init__(self, field: str, message: str, reason: UnmappedReason = UnmappedReason.UNREADABLE) -> None:
        super().__init__(f"{field}: {message}")
        self.field = field
        self.message = message
        self.reason = reason


class SigningKeyError(Exception):
    """The signing key at an address cannot be fetched; str() says what is wrong with the address, as a predicate."""


class IntegrationsError(DocumentError):
    """integrations.yaml is invalid; one line of the message per mistake."""
