"""The escalator's exceptions."""


class EscalatorError(Exception):
    """The base class of the escalator's exceptions."""


class LadderNotFoundError(EscalatorError):
    """The tenant has no such ticket, or no ladder has started for it."""
