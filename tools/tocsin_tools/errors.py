"""The exceptions of the tools; `str(error)` is one sentence for the user."""


class ToolError(Exception):
    """The base of all of them."""


class ApiError(ToolError):
    """A service did not respond, or rejected a call."""


class NotIdleError(ToolError):
    """The pipeline makes no progress."""


class PolicyMismatchError(ToolError):
    """The stack's policy is not the one in the policy file."""


class LogFormatError(ToolError):
    """The file cannot be read, or is not a help-desk log."""
