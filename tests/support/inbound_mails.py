"""Mails for intake: how tests deliver them, and what became of them."""

from base64 import b64encode
from typing import Any, Final

from support.intake_world import ROOT, IntakeWorld
from support.webhook_recordings import SHIPPED

MAILS: Final = {path.stem: path.read_bytes() for path in sorted((ROOT / "tests/recorded/mails").glob("*.eml"))}
SECRET: Final = "mail-secret-of-the-tests"
INTEGRATIONS: Final = """
version: "1"
tenants: {}
it_contacts: { default: { acme: [it@acme.example] } }
email:
  default:
    auth: { secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }
    ours: [betterworldtech.com]
    severity: 3
    services: [Not said]
    sources: [connectwise]
    customers:
      - { id: acme, name: Acme, domains: [acme.example] }
    subjects:
      - { contains: [onboarding], category: onboarding }
  other:
    auth: { user: pipe, secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }
    severity: 2
    services: [Not said]
    customer: { id: house, name: Everybody }
"""

SHIPPED_RULES: Final = "subject_rules:" + SHIPPED.read_text().split("\nsubject_rules:")[1].split("\ntenants:")[0]


async def deliver(intake: IntakeWorld, raw: bytes, status: int = 200, tenant: str = "default") -> Any:
    basic = b64encode(f"pipe:{SECRET}".encode()).decode()
    authorization = f"Bearer {SECRET}" if tenant == "default" else f"Basic {basic}"
    headers = {"Content-Type": "message/rfc822", "Authorization": authorization}
    answer = await intake.clients["nobody"].post(f"/v1/hooks/email/{tenant}", content=raw, headers=headers)
    assert answer.status_code == status, answer.text
    return answer.json()


def mail(sender: str = "Ada <ada@acme.example>", to: str = "support@betterworldtech.com", **headers: str) -> bytes:
    lines = [f"From: {sender}", f"To: {to}", *(f"{name.replace('_', '-')}: {text}" for name, text in headers.items())]
    return "\r\n".join([*lines, "", "It is broken."]).encode()


async def tickets(intake: IntakeWorld, key: str = "default") -> list[Any]:
    return list((await intake.get("/v1/tickets", key=key))["items"])


async def facts(intake: IntakeWorld, ticket_id: str) -> list[str]:
    return [fact["type"] for fact in (await intake.get(f"/v1/tickets/{ticket_id}"))["facts"]]


def ticket_of(answer: Any, result: str) -> str:
    """The id of the ticket in the response, whose result is this one."""
    assert answer["state"] == "taken", answer
    assert answer["detail"].split()[0] == result
    return str(answer["detail"].split()[1])
