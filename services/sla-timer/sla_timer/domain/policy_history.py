"""Every version of the policy, and which of them is in force at an instant (docs/rules.md#4-14). Pure."""

from bisect import bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

from tocsin.business_time import micros
from tocsin.policy import Policy, Rules, SeverityCriteria


@dataclass(frozen=True, slots=True)
class PolicyHistory:
    """The versions of the policy as one customer sees them, by the instant from which they are in force.

    The oldest also governs before its own instant. `changes` are the instants, in microseconds since the epoch, at
    which the second and each further version comes into force.
    """

    versions: tuple[str, ...]
    matrices: tuple[Mapping[int, SeverityCriteria], ...]
    rules: tuple[Rules, ...]
    changes: tuple[int, ...]

    @classmethod
    def of(cls, policies: Sequence[Policy], customer: str | None) -> Self:
        """The history of these versions, in any order; a customer without special terms has the general ones."""
        ordered = sorted(policies, key=lambda policy: policy.in_force_from)
        return cls(
            versions=tuple([policy.version for policy in ordered]),
            matrices=tuple([policy.severities for policy in ordered]),
            rules=tuple([policy.rules(customer) for policy in ordered]),
            changes=tuple([micros(policy.in_force_from) for policy in ordered[1:]]),
        )

    def index_at(self, at: int) -> int:
        """The index of the version in force at the instant `at`."""
        return bisect_right(self.changes, at)

    def count_in_force(self, at: int) -> int:
        """How many versions have come into force by the instant `at`; the oldest always has."""
        return self.index_at(at) + 1

    def rules_at(self, at: int) -> Rules:
        """The rules in force at the instant `at`."""
        return self.rules[self.index_at(at)]
