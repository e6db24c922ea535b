"""The person or machine that looks at a page. Pure."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Viewer:
    """Who looks: `name` is the id of an API key, or the user that a trusted proxy names. Sees one tenant's tickets."""

    tenant: str
    name: str
    has_session: bool = False
    """Whether a session of ours can be ended by `POST /logout`."""
