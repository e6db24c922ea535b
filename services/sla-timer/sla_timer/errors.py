"""The errors that sla-timer raises on purpose.

SlaTimerError
 +- SimulationError       a simulation cannot be computed
 +- UnknownTicketError    the tenant has no such ticket, or it has not arrived yet
 +- PolicyConflictError   the policy's content changed, but not its version
"""


class SlaTimerError(Exception):
    """The base of all of them."""


class SimulationError(SlaTimerError):
    """A simulation cannot be computed, for example because a calendar does not reach that far."""


class UnknownTicketError(SlaTimerError):
    """The tenant has no such ticket, or it has not arrived yet."""


class PolicyConflictError(SlaTimerError):
    """A version of the policy is stored with other content; str() says what to do."""
