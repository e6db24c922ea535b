"""The policy: a valid document, and its rules for each customer."""

from functools import cached_property
from typing import Self

from pydantic import model_validator

from tocsin.policy.document import PolicyDocument
from tocsin.policy.errors import PolicyError
from tocsin.policy.rules import Rules, compile_rules
from tocsin.policy.validation import find_problems
from tocsin.yaml_document import field_errors, load_document


class Policy(PolicyDocument):
    """One version of the service levels. An invalid one cannot be constructed: it raises a ValidationError."""

    @model_validator(mode="after")
    def _is_valid(self) -> Self:
        if problems := list(find_problems(self)):
            raise field_errors(problems)
        return self

    def rules(self, customer_id: str | None) -> Rules:
        """The rules of that customer. A customer without special terms has the general rules."""
        customer = customer_id if customer_id in self.customers else None
        rules = self._compiled.get(customer)
        if rules is None:
            rules = self._compiled[customer] = compile_rules(self, customer)
        return rules

    @cached_property
    def _compiled(self) -> dict[str | None, Rules]:
        return {}


def load_policy(text: str, name: str) -> Policy:
    """Return the policy that the YAML `text` holds. `name` is the file name in errors. Raises PolicyError."""
    return load_document(text, name, Policy, PolicyError)


def policy_from_json(text: str | bytes) -> Policy:
    """Return a policy that was stored as its `model_dump_json()`. Raises pydantic's ValidationError, a ValueError."""
    return Policy.model_validate_json(text)
