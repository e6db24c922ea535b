"""Every known version of the policy, and the rulebooks compiled from them, kept in memory."""

from collections.abc import Sequence

from tocsin.policy import Policy

from sla_timer.domain.fact_log import Rulebook


class PolicyBook:
    """The versions of the policy as the database has them; `renew` gives it a longer history."""

    def __init__(self) -> None:
        self.policies: Sequence[Policy] = ()
        self._rulebooks: dict[str | None, Rulebook] = {}

    def renew(self, policies: Sequence[Policy]) -> None:
        """Takes over the stored versions; nothing changes where there are no more of them."""
        if len(policies) != len(self.policies):
            self.policies = policies
            self._rulebooks = {}

    def rulebook(self, customer: str | None) -> Rulebook:
        """That customer's rules through all versions; one without terms of its own has everybody's."""
        own = any(customer in policy.customers for policy in self.policies)
        key = customer if own else None
        if key not in self._rulebooks:
            self._rulebooks[key] = Rulebook(self.policies, key)
        return self._rulebooks[key]

    @property
    def zone(self) -> str:
        """The time zone of everybody's calendar today, in which reports count their months."""
        return self.rulebook(None).rules[-1].calendar.zone.key
