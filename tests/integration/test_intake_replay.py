"""Unmapped and ignored deliveries: listed, replayed after integrations.yaml was corrected, and dismissed."""

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from intake.commands.hooks import app
from support.intake_world import IntakeWorld, command_environment, world
from support.metrics import counter_value
from support.servers import MakeDatabase
from support.webhook_client import deliver, facts, integrations_yaml, payload, rows, tickets
from typer.testing import CliRunner, Result

ADAPTER = "      adapter: generic"
ADD_PARKED = ("New: new", "New: new, Parked: waiting_customer")
STATES = "SELECT state FROM webhook_deliveries ORDER BY id"


@pytest.fixture
async def intake(
    make_database: MakeDatabase, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[IntakeWorld]:
    (tmp_path / "integrations.yaml").write_text(integrations_yaml(tmp_path))
    async with world(make_database("intake"), tmp_path) as made:
        url = made.writer.url.render_as_string(hide_password=False)
        for name, value in command_environment(url, tmp_path).items():
            monkeypatch.setenv(name, value)
        yield made


def change_file(intake: IntakeWorld, *replacements: tuple[str, str]) -> None:
    text = integrations_yaml(intake.integrations.parent)
    for old, new in replacements:
        assert old in text
        text = text.replace(old, new)
    intake.integrations.write_text(text)


async def hooks(*arguments: str) -> Result:
    return await asyncio.to_thread(CliRunner().invoke, app, arguments)


async def replay(intake: IntakeWorld, *arguments: str) -> int:
    """Replay deliveries by command, by default all unmapped ones; how many."""
    result = await hooks("replay", *(arguments or ("--all",)))
    assert result.exit_code == 0, result.output
    await intake.webhook_worker.retry()
    return int(result.output.split()[1])


async def test_an_unmapped_delivery_is_listed_and_replayed_over_http(intake: IntakeWorld) -> None:
    before = counter_value("sla_hook_unmapped_total", provider="desk", reason="unknown_status")
    await deliver(intake, payload())
    answer = await deliver(intake, payload(status="Parked", at="2026-06-08T10:30:00Z"))
    assert (answer["state"], answer["reason"]) == ("unmapped", "unknown_status")
    await deliver(intake, payload(status="Done", at="2026-06-08T11:00:00Z"))
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["reason"], listed["id"]) == ("unknown_status", answer["delivery_id"])
    assert listed["detail"] == "Unknown status `Parked`. Add it to `statuses`."
    assert json.loads(listed["body"])["status"] == "Parked"

    path = f"/v1/hooks/unmapped/{listed['id']}/replay"
    assert (await intake.post(path, {}, 200))["state"] == "unmapped"
    assert counter_value("sla_hook_unmapped_total", provider="desk", reason="unknown_status") == before + 1
    change_file(intake, ADD_PARKED)
    assert (await intake.post(path, {}, 200))["state"] == "taken"
    assert (await intake.post(path, {}, 200))["state"] == "taken"
    assert sorted(await facts(intake)) == [
        ("opened", "10:00:00"),
        ("paused", "10:30:00"),
        ("resolved", "11:00:00"),
        ("responded", "10:30:00"),
    ]
    assert (await intake.get("/v1/hooks/unmapped"))["items"] == []


async def test_an_unmapped_delivery_is_listed_and_replayed_by_command(intake: IntakeWorld) -> None:
    delivery = (await deliver(intake, payload(status="Parked")))["delivery_id"]
    assert "desk/default  unknown_status: Unknown status `Parked`." in (await hooks("unmapped")).output
    result = await hooks("replay", str(delivery), "999")
    assert (result.exit_code, "Not unmapped or ignored: 999." in result.output) == (1, True)
    change_file(intake, ADD_PARKED)
    await intake.webhook_worker.retry()
    assert await facts(intake) == [("opened", "10:00:00"), ("responded", "10:00:00"), ("paused", "10:00:00")]
    assert await replay(intake) == 0
    assert "No unmapped deliveries." in (await hooks("unmapped")).output


async def test_an_unmapped_delivery_is_dismissed_over_http(intake: IntakeWorld) -> None:
    answer = await deliver(intake, payload(status="Parked"))
    path = f"/v1/hooks/unmapped/{answer['delivery_id']}/dismiss"
    await intake.post(path, None, 403, key="reading")
    await intake.post(path, None, 404, key="other")
    dismissed = await intake.post(path, None, 200)
    assert dismissed == {"state": "ignored", "delivery_id": answer["delivery_id"]}
    await intake.post(path, None, 404)
    assert (await intake.get("/v1/hooks/unmapped"))["items"] == []
    (listed,) = (await intake.get("/v1/hooks/ignored"))["items"]
    assert (listed["reason"], listed["detail"][:17]) == ("unknown_status", "dismissed by key ")
    assert "unknown_status: dismissed by key" in (await hooks("ignored", "--reason", "unknown_status")).output
    assert "No ignored deliveries." in (await hooks("ignored", "--reason", "auto_submitted")).output
    assert "`x` is not a reason" in (await hooks("ignored", "--reason", "x")).output


async def test_ignored_deliveries_are_listed_in_pages(intake: IntakeWorld) -> None:
    before = counter_value("sla_hook_ignored_total", provider="desk", reason="not_a_ticket")
    for number in range(3):
        await deliver(intake, {"note": True, "delivery": str(number)})
    first = await intake.get("/v1/hooks/ignored", limit=2)
    rest = await intake.get("/v1/hooks/ignored", limit=2, cursor=first["next_cursor"])
    assert [item["reason"] for item in (*first["items"], *rest["items"])] == ["not_a_ticket"] * 3
    assert rest["next_cursor"] is None
    assert counter_value("sla_hook_ignored_total", provider="desk", reason="not_a_ticket") == before + 3


async def test_a_notice_that_the_webhook_is_switched_off_counts_until_it_is_dismissed(intake: IntakeWorld) -> None:
    notice = await deliver(intake, {"event": "webhook.disabled"})
    assert (notice["state"], notice["reason"]) == ("unmapped", "deactivated")
    assert "switch the webhook on in the tool" in notice["detail"]
    await intake.webhook_worker.retry()
    assert counter_value("sla_hook_deactivated_now", provider="desk") == 1
    await hooks("dismiss", str(notice["delivery_id"]))
    await intake.webhook_worker.retry()
    assert counter_value("sla_hook_deactivated_now", provider="desk") == 0


async def test_a_dismissed_delivery_is_neither_listed_nor_counted(intake: IntakeWorld) -> None:
    junk, other = [str((await deliver(intake, body))["delivery_id"]) for body in ({}, payload(status="Parked"))]
    assert (await hooks("dismiss", junk, "--tenant", "other")).output.endswith(f"Not unmapped: {junk}.\n")
    result = await hooks("dismiss", junk, "999", "--by", "Ada")
    assert (result.exit_code, result.output) == (1, "Dismissed 1 delivery.\nNot unmapped: 999.\n")
    await intake.webhook_worker.retry()
    assert counter_value("sla_hook_unmapped_now", provider="desk") == 1
    assert [item["id"] for item in (await intake.get("/v1/hooks/unmapped"))["items"]] == [int(other)]
    query = f"SELECT state, reason, detail FROM webhook_deliveries WHERE id = {junk}"
    assert [tuple(row) for row in await rows(intake, query)] == [("ignored", "no_ticket", "dismissed by Ada")]


async def test_a_replay_does_not_change_tickets_to_which_the_delivery_was_applied(intake: IntakeWorld) -> None:
    both = {"tickets": [payload("T-1", status="Done"), payload("T-2", status="Parked")]}
    assert (await deliver(intake, both))["reason"] == "unknown_status"
    change_file(intake, ADD_PARKED, ("Done: resolved", "Done: waiting_customer"))
    assert await replay(intake) == 1
    assert {found["external_id"]: found["state"] for found in await tickets(intake)} == {"T-1": "closed", "T-2": "open"}
    assert await replay(intake) == 0


async def test_a_replay_never_applies_an_applied_update_to_another_ticket(intake: IntakeWorld) -> None:
    await deliver(intake, {"tickets": [payload("T-1"), payload("T-2", status="Parked")]})
    change_file(intake, ADD_PARKED, (ADAPTER, f"{ADAPTER}\n      source: helpdesk"))
    await replay(intake)
    (listed,) = (await intake.get("/v1/hooks/unmapped"))["items"]
    assert (listed["reason"], "helpdesk/T-1" in listed["detail"]) == ("another_ticket", True)
    found = [(each["source"], each["external_id"]) for each in await tickets(intake)]
    assert sorted(found) == [("desk", "T-1"), ("helpdesk", "T-2")]


async def test_a_replayed_delivery_that_is_no_longer_read_has_no_effect(intake: IntakeWorld) -> None:
    assert (await deliver(intake, payload(subject=None, status="Done")))["reason"] == "missing_summary"
    change_file(intake, ('when: "!note"', 'when: "subject"'))
    assert await replay(intake) == 1
    assert [row.state for row in await rows(intake, STATES)] == ["ignored"]
    await deliver(intake, payload())
    assert await facts(intake) == [("opened", "10:00:00")]


async def test_ignored_deliveries_are_replayed_only_on_request(intake: IntakeWorld) -> None:
    for status, at in (("New", "10:00"), ("Done", "11:00")):
        body = payload(queue="Desk", status=status, at=f"2026-06-08T{at}:00Z")
        assert (await deliver(intake, body))["state"] == "ignored"
    change_file(intake, ("queues: [Help]", "queues: [Help, Desk]"))
    assert await replay(intake) == 0
    assert await replay(intake, "--all", "--ignored") == 2
    assert await facts(intake) == [("opened", "10:00:00"), ("resolved", "11:00:00")]


async def test_a_replay_can_be_limited_to_a_tenant_a_provider_or_a_time(intake: IntakeWorld) -> None:
    ids = [
        str((await deliver(intake, payload(status="Parked", by=by), tenant=tenant))["delivery_id"])
        for tenant, by in (("default", "Ada"), ("default", "Bob"), ("other", "Ada"))
    ]
    assert await replay(intake, "--all", "--since", "2027-06-08T12:00:00Z") == 0
    assert await replay(intake, "--all", "--since", "2026-06-08T11:00:00Z") == 3
    assert await replay(intake, "--all", "--tenant", "other") == 1
    assert await replay(intake, "--all", "--provider", "elsewhere") == 0
    assert await replay(intake, *ids[:2]) == 2
