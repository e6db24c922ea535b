"""The board's errors.

BoardError
├── UpstreamError            another service did not respond, or not as its API says
│   └── UpstreamKeyError     TOCSIN_UPSTREAM_KEYS has no key for the tenant
├── UnknownCustomerError     sla-timer has no numbers of this customer
├── TicketNotOnBoardError    no ticket with this id is in the read model
├── WebhookNotFoundError     the tenant has no outgoing webhook with this id
├── WebhookWaitingError      an outgoing webhook cannot be sent again while it is being sent
├── WebhookTemplateError     a template of webhooks.yaml cannot be used
├── LoginRequiredError       a page was requested without a session, a key or a trusted proxy's headers
├── TooManyReportsError      the process builds no further report at the same time
├── TooManyWatchersError     the process accepts no further live page
└── InvalidSessionError      a cookie is not a session of ours, or the session has expired

WebhooksFileError            webhooks.yaml is invalid
"""

from tocsin.yaml_document import DocumentError


class BoardError(Exception):
    """The base of the board's errors."""


class UpstreamError(BoardError):
    """Another service did not respond, or not as its API says. The request is repeated later."""


class UpstreamKeyError(UpstreamError):
    """TOCSIN_UPSTREAM_KEYS has no key for the tenant: no request about it can be sent, and a retry does not help."""

    def __init__(self, tenant: str) -> None:
        super().__init__(f"This board has no key for the tenant {tenant}: set TOCSIN_UPSTREAM_KEYS")


class UnknownCustomerError(BoardError):
    """No target of this customer has been decided, and no ticket of a measured channel has arrived."""


class TicketNotOnBoardError(BoardError):
    """No ticket with this id has arrived in the read model."""


class WebhookNotFoundError(BoardError):
    """The tenant has no outgoing webhook with this id."""

    def __init__(self) -> None:
        super().__init__("Webhook delivery not found.")


class WebhookWaitingError(BoardError):
    """An outgoing webhook cannot be sent again while it is being sent."""

    def __init__(self) -> None:
        super().__init__("This webhook is still being sent. Wait until its state is delivered or failed.")


class WebhookTemplateError(BoardError):
    """A template cannot be used. `str()` names it and says why."""


class WebhooksFileError(DocumentError):
    """webhooks.yaml is invalid."""


class LoginRequiredError(BoardError):
    """A page was requested without a valid session, API key or headers of a trusted proxy."""


class InvalidSessionError(BoardError):
    """The cookie is not a session that we signed, or the session has expired."""


class TooManyReportsError(BoardError):
    """The process builds no further report at the same time."""


class TooManyWatchersError(BoardError):
    """The process accepts no further client of the live updates."""
