"""Every call that requires a key is allowed by exactly one scope."""

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import httpx
import pytest
from support.service_apps import build_service
from tocsin.runtime.http.api_keys import ADMIN, SCOPES, TICKETS_READ, TICKETS_WRITE, KeyFile, issue, write_keys

EVERYWHERE: Final = {
    "get /v1/dead-letters": ADMIN,
    "get /v1/dead-letters/{letter_id}": ADMIN,
    "post /v1/dead-letters/{letter_id}/replay": ADMIN,
    "get /v1/keys": ADMIN,
}
ALLOWED_BY: Final[Mapping[str, Mapping[str, str]]] = {
    "intake": {
        "get /v1/tickets": TICKETS_READ,
        "get /v1/tickets/{ticket_id}": TICKETS_READ,
        "get /v1/tickets/by-external/{source}/{external_id}": TICKETS_READ,
        "post /v1/tickets": TICKETS_WRITE,
        "post /v1/tickets/batch": TICKETS_WRITE,
        "post /v1/tickets/{ticket_id}/events": TICKETS_WRITE,
        "post /v1/tickets/by-external/{source}/{external_id}/events": TICKETS_WRITE,
        "get /v1/hooks/unmapped": ADMIN,
        "post /v1/hooks/unmapped/{delivery_id}/replay": ADMIN,
        "post /v1/hooks/unmapped/{delivery_id}/dismiss": ADMIN,
        "get /v1/hooks/ignored": ADMIN,
    },
    "sla-timer": {
        "get /v1/tickets/{ticket_id}/clocks": TICKETS_READ,
        "get /v1/tickets/by-external/{source}/{external_id}/clocks": TICKETS_READ,
        "post /v1/clocks": TICKETS_READ,
        "post /v1/simulate": TICKETS_READ,
        "get /v1/compliance": TICKETS_READ,
        "get /v1/outcomes": TICKETS_READ,
        "get /v1/terms": TICKETS_READ,
    },
    "escalator": {
        "get /v1/escalations": TICKETS_READ,
        "get /v1/tickets/{ticket_id}/escalation": TICKETS_READ,
        "get /v1/tickets/by-external/{source}/{external_id}/escalation": TICKETS_READ,
        "post /v1/ladders": TICKETS_READ,
    },
    "notifier": {
        "get /v1/deliveries": TICKETS_READ,
        "get /v1/deliveries/{delivery_id}": TICKETS_READ,
        "post /v1/deliveries/{delivery_id}/redeliver": ADMIN,
        "post /v1/bounces": TICKETS_WRITE,
        "get /v1/bounces": ADMIN,
        "get /v1/bounces/{report_id}": ADMIN,
        "get /v1/on-call": TICKETS_READ,
        "get /v1/on-call/calendar.ics": TICKETS_READ,
    },
    "board": {
        "get /v1/webhook-deliveries": TICKETS_READ,
        "get /v1/webhook-deliveries/{delivery_id}": TICKETS_READ,
        "post /v1/webhook-deliveries/{delivery_id}/redeliver": ADMIN,
        "get /v1/at-risk": TICKETS_READ,
        "get /v1/deadlines.ics": TICKETS_READ,
        "get /v1/tickets/by-external/{source}/{external_id}": TICKETS_READ,
    },
}


@pytest.mark.parametrize("service", ALLOWED_BY)
async def test_a_call_is_allowed_by_its_scope_only(service: str, tmp_path: Path) -> None:
    """403 comes before any other error. There is no database, so an allowed call changes nothing."""
    keys = {scope: issue("default", (scope,)) for scope in SCOPES}
    write_keys(tmp_path / "keys.yaml", KeyFile(keys=tuple(entry for _, entry in keys.values())))
    app = build_service(service, "postgresql+asyncpg://nobody@127.0.0.1:1/nothing", tmp_path).app
    opened: dict[str, set[str]] = {}
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        for path, item in app.openapi()["paths"].items():
            for method in (method for method, operation in item.items() if operation.get("security")):
                opened[f"{method} {path}"] = {
                    scope
                    for scope, (text, _) in keys.items()
                    if await status(client, method, path, text) != httpx.codes.FORBIDDEN
                }
    assert opened == {name: {scope} for name, scope in {**EVERYWHERE, **ALLOWED_BY[service]}.items()}


async def status(client: httpx.AsyncClient, method: str, path: str, key: str) -> int:
    body: dict[str, str] | None = {} if method == "post" else None
    return (await client.request(method, path, json=body, headers={"Authorization": f"Bearer {key}"})).status_code
