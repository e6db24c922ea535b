"""The exceptions of the embedded stack; `str(error)` is one sentence for the user, with what to do."""


class LocalError(Exception):
    """The base of all of them: something outside the program is wrong."""


class DownloadError(LocalError):
    """A jar could not be downloaded, or has an unknown checksum."""


class PartFailedError(LocalError):
    """A server or service did not start."""


class PortTakenError(LocalError):
    """Another program listens on a port of the stack."""


class StateRefusedError(LocalError):
    """The state folder belongs to a running stack, or to another clock."""


class StartInterruptedError(LocalError):
    """The stack was asked to stop while it was starting."""
