"""The policy: the service levels as data, read, checked and compiled. Pure but for `tocsin.sources.policy_file`."""

from tocsin.policy.content import MailboxRule
from tocsin.policy.loading import PolicyError, load_policy, policy_from_json
from tocsin.policy.model import Policy
from tocsin.policy.rules import Rules, Target
from tocsin.policy.severity import Impact
from tocsin.policy.suggestion import SeveritySuggestion, suggest_severity

__all__ = [
    "Impact",
    "MailboxRule",
    "Policy",
    "PolicyError",
    "Rules",
    "SeveritySuggestion",
    "Target",
    "load_policy",
    "policy_from_json",
    "suggest_severity",
]
