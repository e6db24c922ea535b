"""The board's errors.

BoardError
├── UpstreamError            another service did not respond, or not as its API says
├── TicketNotOnBoardError    no ticket with this id is in the read model
├── LoginRequiredError       a page was requested without a session, a key or a trusted proxy's headers
├── TooManyWatchersError     the process has as many live pages as it can serve
└── InvalidSessionError      a cookie is not a session of ours, or the session has expired
"""


class BoardError(Exception):
    """The base of the board's errors."""


class UpstreamError(BoardError):
    """Another service did not respond, or not as its API says. It is asked again later."""


class TicketNotOnBoardError(BoardError):
    """No ticket with this id has arrived in the read model."""


class LoginRequiredError(BoardError):
    """A page was requested without a valid session, API key or headers of a trusted proxy."""


class InvalidSessionError(BoardError):
    """The cookie is not a session that we signed, or the session has expired."""


class TooManyWatchersError(BoardError):
    """The process has as many clients of the live updates as it can serve."""
