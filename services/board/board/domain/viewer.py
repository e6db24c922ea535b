"""The person or machine that requests a page. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Viewer:
    """The caller of a page, who sees the tickets of `tenant`.

    `name` is the id of an API key, or the user that a trusted proxy names.
    """

    tenant: str
    name: str
    has_session: bool = False
    """Whether `POST /logout` would end a session."""
