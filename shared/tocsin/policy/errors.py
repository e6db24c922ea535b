"""Errors of the policy.

- `PolicyError`: policy.yaml is invalid.
"""

from tocsin.yaml_document import DocumentError


class PolicyError(DocumentError):
    """A policy is invalid. `problems` has one line for each error: `FILE:LINE: FIELD: message`."""
