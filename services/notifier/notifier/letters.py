"""Composes every mail: knows whom it is from, how its links are made, and in which zone each reader lives."""

from collections.abc import Sequence
from datetime import datetime

from tocsin.events import Notify, StandDown
from tocsin.runtime.directory_file import DirectoryFile

from notifier.message import Mail, compose
from notifier.settings import Settings
from notifier.wording import Reader, Redelivery, Told


class Letters:
    """Built once at the start, from the settings."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def compose(
        self,
        notice: Notify | StandDown,
        reader: Reader,
        told: Sequence[Told],
        *,
        now: datetime,
        late: bool,
        redelivery: Redelivery | None = None,
        utf8: bool = False,
    ) -> Mail:
        """The mail that tells `reader` of `notice` at the business instant `now`.

        `told` is who was told before in the same ladder (for a stand-down: what this reader was mailed), oldest first.
        `redelivery`: the mail is marked as asked for once more. `utf8`: the mail server offers SMTPUTF8.
        Raises UnmailableAddress where the reader's address cannot be written for this server, and UnsafeMail where the
        message, parsed again, is not what was meant.
        """
        settings = self._settings
        return compose(notice, reader, told, now=now, late=late, sender=settings.mail_from, zone=settings.zone)


def letters_from(settings: Settings, directory: DirectoryFile) -> Letters:
    """As the settings say; each reader's zone is asked of the directory."""
    return Letters(settings)
