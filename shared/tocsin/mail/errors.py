"""What cannot be read as a mail."""


class UnreadableMailError(Exception):
    """The bytes exceed a limit, or are not the mail that the caller needs; str() says how, as a predicate."""
