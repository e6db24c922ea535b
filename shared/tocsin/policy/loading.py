"""Policies out of text: written ones, and stored ones."""

from tocsin.policy.model import Policy
from tocsin.yaml_document import DocumentError, load_document


class PolicyError(DocumentError):
    """The policy is refused; a line of the message for each thing that is wrong."""


def load_policy(text: str, name: str) -> Policy:
    """The policy written in the YAML `text`; `name` is what errors call it.

    Raises PolicyError: `FILE:LINE: FIELD: what is wrong; what would be right`, one line an error.
    """
    return load_document(text, name, Policy, PolicyError)


def policy_from_json(text: str | bytes) -> Policy:
    """A policy that was stored as its `model_dump_json()`, equal to what it was.

    Raises pydantic's ValidationError, a ValueError.
    """
    return Policy.model_validate_json(text)
