"""The escalator's exceptions."""


class EscalatorError(Exception):
    """The base of all of them."""


class LadderNotFoundError(EscalatorError):
    """The tenant has no such ticket, or no ladder has started for it."""
