"""Reads policy files. `tocsin.policy` itself does no I/O."""

from pathlib import Path

from tocsin.policy import Policy, PolicyError, load_policy
from tocsin.runtime.errors import ConfigurationError, FileReadError
from tocsin.runtime.process.regular_file import read_text


def read_policy(path: Path) -> Policy:
    """The policy in that file. Raises PolicyError, or FileReadError if the file cannot be read."""
    return load_policy(read_text(path), str(path))


def configured_policy(path: Path) -> Policy:
    """The policy at TOCSIN_POLICY. Raises ConfigurationError if it cannot be used."""
    try:
        return read_policy(path)
    except (PolicyError, FileReadError) as error:
        raise ConfigurationError(f"TOCSIN_POLICY: {error}") from error


def mailboxes_of(policy: Policy | None) -> frozenset[str]:
    """The mailbox addresses of the policy in lower case; none without a policy."""
    return frozenset(rule.address.lower() for rule in policy.mailboxes.values()) if policy else frozenset()
