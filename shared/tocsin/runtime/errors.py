"""Every exception of the runtime.

Exception
 +- ConfigurationError      the process cannot start with these settings or files
 |   +- FileReadError       a file that a setting names cannot be read
 |   +- SecretFileError     a file that holds a secret cannot be read
 |   +- KeyFileError        keys.yaml cannot be read
 +- NotMigratedError        the database schema is older than the code
 +- TopicError              a Kafka topic is missing or has the wrong number of partitions
 +- PortError               the HTTP port cannot be opened
 +- PoisonMessageError      raised by a handler: this record can never be handled
 +- OverloadedError         too many items are waiting; retry later
 +- RequestFailedError      an HTTP request to another system has no response
 +- LeaseLostError          another process may hold the lease: stop at once
 +- WatermarkBlindError     the writers' transactions are not visible, so no watermark can be computed
 +- StuckError              the consumer makes no progress; only a new process helps
"""

from pathlib import Path


class ConfigurationError(Exception):
    """The process cannot start with these settings or files. `str()` names the setting and says why."""


class FileReadError(ConfigurationError):
    """A file that a setting names cannot be read. `str()` gives its path; `reason` says only why."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path} cannot be read: {reason}")
        self.reason = reason


class SecretFileError(ConfigurationError):
    """A file that holds a secret cannot be read. `str()` says why, without the file's content."""


class KeyFileError(ConfigurationError):
    """keys.yaml cannot be used. `str()` says why, without the file's content."""


class NotMigratedError(Exception):
    """The database schema is older than the code. `str()` names the command to run."""


class TopicError(Exception):
    """A topic is missing or has another number of partitions than the code expects. `str()` says what to do."""


class PortError(Exception):
    """The HTTP port cannot be opened. `str()` says why."""


class PoisonMessageError(Exception):
    """Raised by a handler: this record can never be handled. `str()` says why."""


class OverloadedError(Exception):
    """Too many items are waiting, or the current group takes too long. Nothing was done; retry later."""


class LeaseLostError(Exception):
    """Another process may hold the lease now. Stop at once; nothing of the transaction is committed."""


class WatermarkBlindError(Exception):
    """The database hides the writers' transactions, so no watermark can be computed. `str()` says how to fix it."""


class StuckError(Exception):
    """Records are waiting and Kafka and the database respond, but nothing moves. Only a new process helps."""


class RequestFailedError(Exception):
    """An HTTP request to another system was not sent, or has no response. `str()` says why, without the URL."""
