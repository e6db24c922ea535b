"""What can go wrong around the stack, told in one sentence with what to do."""


class LocalError(Exception):
    """Something outside the program is not as it must be; `str(error)` is the sentence for the one who started it."""


class DownloadFailed(LocalError):
    """A jar could not be fetched, or is not the one we know."""


class PartFailed(LocalError):
    """A server or service did not start, or did not stop."""


class PortTaken(LocalError):
    """Another program listens where a part of the stack would."""


class StateRefused(LocalError):
    """The state folder belongs to a running stack, or to another clock."""
