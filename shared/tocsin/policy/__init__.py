"""The policy: service levels as data, read from policy.yaml, validated, and compiled per customer. No I/O."""

from tocsin.policy.document import MailboxRule
from tocsin.policy.errors import PolicyError
from tocsin.policy.model import Policy, load_policy, policy_from_json
from tocsin.policy.rules import Rules, Target
from tocsin.policy.severity import Impact, SeveritySuggestion, suggest_severity

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
