"""The error of an unreadable mail."""


class UnreadableMailError(Exception):
    """The bytes exceed a limit, or are not the mail that the caller needs; str() says how, as a predicate."""
