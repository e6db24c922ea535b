"""The recorded webhooks of each tool, its shipped integration, and the headers with which it authenticates."""

import base64
import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Final

from intake.domain.webhooks.config.integrations import Integration, load_integrations

ROOT: Final = Path(__file__).parents[2]
RECORDED: Final = ROOT / "tests" / "recorded" / "hooks"
SHIPPED: Final = ROOT / "deploy" / "policy" / "integrations.yaml"
PROVIDERS: Final = ("connectwise", "autotask", "halopsa", "zendesk", "freshdesk", "jira")
SECRET: Final = b"secretkey-0123456789"


@cache
def shipped(provider: str) -> Integration:
    """The integration of this tool in deploy/policy/integrations.yaml."""
    found = load_integrations(SHIPPED.read_text(), "integrations.yaml").find("default", provider)
    assert found is not None
    return found


def story(provider: str) -> Sequence[bytes]:
    """The deliveries of one ticket's story, in order."""
    return [path.read_bytes() for path in sorted((RECORDED / provider).glob("[0-9]-*.json"))]


def recordings(provider: str) -> Sequence[bytes]:
    """Every recorded delivery of the tool."""
    return [path.read_bytes() for path in sorted((RECORDED / provider).glob("*.json"))]


def recorded(provider: str, name: str) -> bytes:
    return (RECORDED / provider / f"{name}.json").read_bytes()


def auth_headers(provider: str, body: bytes, secret: bytes = SECRET, at: datetime | None = None) -> Mapping[str, str]:
    """The headers with which the tool authenticates this body; `at` is the time of its clock."""
    if provider == "connectwise":
        return {"x-content-signature": _base64(hmac.digest(hashlib.sha256(secret).digest(), body, "sha256"))}
    if provider == "autotask":
        return {"x-hook-signature": "sha1=" + _base64(hmac.digest(secret, body, "sha1"))}
    if provider == "halopsa":
        return {"authorization": "Basic " + _base64(b"tocsin:" + secret)}
    if provider == "freshdesk":
        return {"x-tocsin-secret": secret.decode()}
    if provider == "jira":
        return {"x-hub-signature": "sha256=" + hmac.digest(secret, body, "sha256").hex()}
    stamp = (at or datetime.now(UTC)).strftime("%Y-%m-%dT%H:%M:%SZ")
    return {
        "x-zendesk-webhook-signature-timestamp": stamp,
        "x-zendesk-webhook-signature": _base64(hmac.digest(secret, stamp.encode() + body, "sha256")),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()
