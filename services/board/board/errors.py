"""The board's errors.

BoardError
├── UpstreamError            another service did not respond, or not as its API says
└── TicketNotOnBoardError    no ticket with this id is in the read model
"""


class BoardError(Exception):
    """The base of the board's errors."""


class UpstreamError(BoardError):
    """Another service did not respond, or not as its API says. It is asked again later."""


class TicketNotOnBoardError(BoardError):
    """No ticket with this id has arrived in the read model."""
