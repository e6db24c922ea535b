"""The policy: service levels as data, read from policy.yaml, validated, and compiled per customer. No I/O."""

from tocsin.policy.document import ASSIGNEE, MailboxRule, ResolutionMeasure
from tocsin.policy.errors import PolicyError
from tocsin.policy.model import Policy, load_policy, policy_from_json
from tocsin.policy.rules import DEFAULT_SINGLE_PER_MINUTE, Rules, Target
from tocsin.policy.severity import SeverityCriteria, SeveritySuggestion, disputed_severity, suggest_severity

__all__ = [
    "ASSIGNEE",
    "DEFAULT_SINGLE_PER_MINUTE",
    "MailboxRule",
    "Policy",
    "PolicyError",
    "ResolutionMeasure",
    "Rules",
    "SeverityCriteria",
    "SeveritySuggestion",
    "Target",
    "disputed_severity",
    "load_policy",
    "policy_from_json",
    "suggest_severity",
]
