"""Policies out of files: the only part of `tocsin.policy` that reads from disk."""

from pathlib import Path

from tocsin.policy import Policy, load_policy


def read_policy(path: Path) -> Policy:
    """The policy in that file. Raises PolicyError, or OSError where it cannot be read."""
    return load_policy(path.read_text("utf-8"), str(path))


def mailboxes_of(path: Path | None) -> frozenset[str]:
    """The addresses in lower case of the mailboxes of the policy in that file; none without one. Raises as above."""
    policy = read_policy(path) if path is not None else None
    return frozenset(rule.address.lower() for rule in policy.mailboxes.values()) if policy else frozenset()
