"""A policy: its content, known to work, and compiled for each customer."""

from functools import cached_property
from typing import Self

from pydantic import model_validator

from tocsin.policy.compile import compile_rules
from tocsin.policy.content import PolicyDocument
from tocsin.policy.rules import Rules
from tocsin.policy.validation import problems
from tocsin.yaml_document import field_errors


class Policy(PolicyDocument):
    """One version of the service levels. It is never built invalid: what could not work raises a ValidationError."""

    @model_validator(mode="after")
    def _could_work(self) -> Self:
        if found := list(problems(self)):
            raise field_errors(found)
        return self

    def rules(self, customer_id: str | None) -> Rules:
        """What is promised to that customer; to one without terms of its own, what is promised to everybody."""
        customer = customer_id if customer_id in self.customers else None
        rules = self._compiled.get(customer)
        if rules is None:
            rules = self._compiled[customer] = compile_rules(self, customer)
        return rules

    @cached_property
    def _compiled(self) -> dict[str | None, Rules]:
        return {}
