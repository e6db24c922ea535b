"""A help desk that delivers webhooks to intake through the generic adapter, and the tickets that it has then."""

import hashlib
import hmac
import json
from pathlib import Path
from typing import Any

from sqlalchemy import text

from support.intake_world import IntakeWorld

SECRET = "sixteen or more characters"

INTEGRATIONS = """
version: "1"
it_contacts: {default: {acme: [Ida Jones]}}
tenants:
  default:
    desk: &desk
      adapter: generic
      auth:
        secrets: [{secret_file: SECRET_FILE}]
        signature: {header: X-Signature, prefix: "sha256="}
      live_since: 2026-01-01T00:00:00Z
      statuses: {New: new, Answered: responded, Pending: waiting_customer, Done: resolved, Dropped: cancelled}
      priorities: {Urgent: 1, High: 2, Normal: 3}
      queues: [Help]
      types: {Complaint: mishandled_request, Joiner: onboarding}
      mailboxes: {Escalations: escalations}
      impact: {work_stoppage: {Everybody: full}}
      unassigned: [nobody]
      defaults:
        severity: 3
        services: [Other]
        contact: {name: Service desk, phone: "+1 555 0100"}
        customer: {id: unknown, name: Unknown}
      generic:
        key: delivery
        when: "!note"
        about: "'a note'"
        tickets: tickets || [@]
        external_id: id
        action: action
        actions: {deleted: deleted}
        seen_at: at
        opened_at: opened
        status: status
        priority: priority
        queue: queue
        summary: subject
        customer_id: customer
        contact_name: who
        contact_email: mail
        services: services
        type: type
        via: mailbox
        starts_at: starts
        work_stoppage: stoppage
        assignee_name: agent
        assignee_email: agent_mail
        actor: by
"""


def integrations_yaml(folder: Path, text: str = INTEGRATIONS) -> str:
    """The integrations of two tenants; the section is copied, since the file may not use a YAML alias."""
    (folder / "secret").write_text(SECRET)
    section = text.split("    desk: &desk\n")[1]
    return (text.replace(" &desk", "") + "  other:\n    desk:\n" + section).replace(
        "SECRET_FILE", str(folder / "secret")
    )


def payload(external_id: str = "T-1", **fields: Any) -> dict[str, Any]:
    """The desk's payload for a ticket; a field that is None is omitted."""
    known = {
        "id": external_id,
        "at": "2026-06-08T10:00:00Z",
        "opened": "2026-06-08T10:00:00Z",
        "status": "New",
        "priority": "High",
        "queue": "Help",
        "subject": "Mail is down",
        "customer": "acme",
        "who": "Ada",
        "mail": "ada@acme.example",
        "services": ["Email"],
    }
    return {name: value for name, value in {**known, **fields}.items() if value is not None}


async def deliver(
    intake: IntakeWorld, body: object, status: int = 200, *, tenant: str = "default", secret: str = SECRET
) -> dict[str, Any]:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    signature = hmac.new(secret.encode(), raw, hashlib.sha256).hexdigest()
    answer = await intake.clients["nobody"].post(
        f"/v1/hooks/desk/{tenant}", content=raw, headers={"X-Signature": f"sha256={signature}"}
    )
    assert answer.status_code == status, answer.text
    found: dict[str, Any] = answer.json()
    return found


async def tickets(intake: IntakeWorld, key: str = "default") -> list[dict[str, Any]]:
    items = (await intake.get("/v1/tickets", key=key))["items"]
    return [await intake.get(f"/v1/tickets/{item['ticket_id']}", key=key) for item in items]


async def facts(intake: IntakeWorld) -> list[tuple[str, str]]:
    (only,) = await tickets(intake)
    return [(fact["type"], fact["occurred_at"][11:19]) for fact in only["facts"]]


async def rows(intake: IntakeWorld, query: str) -> list[Any]:
    async with intake.writer.connect() as connection:
        return list((await connection.execute(text(query))).all())


async def make_due(intake: IntakeWorld) -> None:
    """Let the next attempt of all waiting deliveries be now."""
    now = "UPDATE webhook_deliveries SET next_attempt_at = clock_timestamp() WHERE state = 'waiting'"
    async with intake.writer.begin() as connection:
        await connection.execute(text(now))
