"""The notifier's errors.

NotifierError
├── DirectoryUnavailableError     no usable directory is loaded
├── UnknownRoleError              the directory does not know this role
├── InstantOutOfRangeError        on-call queries cover the years 1900 to 2099
├── DeliveryNotFoundError         no delivery of this tenant has this id
├── RedeliveryRefusedError        the mail is still on its way, or no longer needed
├── RedeliveryKeyReusedError      the same key with another request
├── BounceReportError             not a report of a mail server that can be read
│   └── NoBounceError             a message that is plainly something else
├── UnmatchedReportNotFoundError  no unmatched report of this tenant has this id
├── MailInTransitError            the reported mail is being handed over right now
├── UnmailableAddressError        no mail server could accept this address, or we never mail it
├── UnsafeMailError               a rendered mail carries a header or recipient that is not ours
├── MailTooLongError              a template rendered more than mail programs show
└── MailTemplateError             a template does not compile or render
"""


class NotifierError(Exception):
    """Base of all errors of this service; str() is a sentence for people."""


class DirectoryUnavailableError(NotifierError):
    def __init__(self) -> None:
        super().__init__("No usable directory is loaded; /readyz shows the reason.")


class UnknownRoleError(NotifierError):
    """str() continues a sentence about the role: "is not a role of the directory; ..."."""

    def __init__(self, known: tuple[str, ...]) -> None:
        super().__init__(f"is not a role of the directory; its roles are {', '.join(known)}")


class InstantOutOfRangeError(NotifierError):
    """str() continues a sentence about the instant: "must be in the years ..."."""

    def __init__(self) -> None:
        super().__init__("must be in the years 1900 to 2099")


class DeliveryNotFoundError(NotifierError):
    def __init__(self) -> None:
        super().__init__("Delivery not found.")


class RedeliveryRefusedError(NotifierError):
    """The mail cannot be sent again now; str() says why."""


class RedeliveryKeyReusedError(NotifierError):
    def __init__(self) -> None:
        super().__init__("This Idempotency-Key was used for a different request.")


class BounceReportError(NotifierError):
    """The message is not a readable report. `field` is the missing or wrong field; str() continues the sentence."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class NoBounceError(BounceReportError):
    """A read receipt, an automatic reply or another message that says nothing about the delivery of a mail."""

    def __init__(self, kind: str) -> None:
        super().__init__("", f"is {kind}, not a bounce")


class UnmatchedReportNotFoundError(NotifierError):
    def __init__(self) -> None:
        super().__init__("Unmatched report not found.")


class MailInTransitError(NotifierError):
    def __init__(self) -> None:
        super().__init__("This mail is being handed to the mail server right now. Retry in a few seconds.")


class UnmailableAddressError(NotifierError):
    """str() is written like a mail server's reply and becomes the delivery's `reply`."""


class UnsafeMailError(NotifierError):
    """A mail that, parsed again, has another header, sender or recipient than intended. It is never sent."""


class MailTooLongError(NotifierError):
    """A part longer than mail programs show. Only a deployment's own template can cause it."""


class MailTemplateError(NotifierError):
    """str() names the file, the line where it is known, and the problem."""
