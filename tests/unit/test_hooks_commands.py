"""`python -m intake hooks check` and `try`, which need no running service."""

import json
from pathlib import Path

import pytest
from intake.commands.hooks import app
from ruamel.yaml import YAML
from support.webhook_recordings import RECORDED, SHIPPED
from typer.testing import CliRunner

RUN = CliRunner()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_INTEGRATIONS", str(SHIPPED))
    monkeypatch.setenv("TOCSIN_HOOK_JIRA", "secret")


def test_check_lists_the_webhooks_and_their_missing_secrets() -> None:
    result = RUN.invoke(app, ["check"])
    assert result.exit_code == 0
    assert "POST /v1/hooks/jira/default  generic: ready\n" in result.output
    assert (
        "POST /v1/hooks/autotask/default  autotask: no secret in this environment: TOCSIN_HOOK_AUTOTASK\n"
        in result.output
    )


def test_check_reports_the_line_of_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "mine.yaml"
    broken.write_text(SHIPPED.read_text().replace("adapter: autotask", "adapter: autotusk"))
    result = RUN.invoke(app, ["check", "--integrations", str(broken)])
    assert result.exit_code == 1
    assert "adapter: `autotusk` is not a valid value; did you mean `autotask`?" in result.output
    assert result.output.startswith(f"{broken}:")


def test_try_prints_a_line_per_ticket() -> None:
    files = sorted(str(path) for path in (RECORDED / "jira").glob("[0-9]-*.json"))
    result = RUN.invoke(app, ["try", *files, files[-1], "--provider", "jira"])
    assert result.exit_code == 0, result.output
    first, *others, again = [json.loads(line) for line in result.output.splitlines()]
    assert (first["ticket"]["source"], first["ticket"]["severity"]) == ("jira", 2)
    assert [[event["type"] for event in each["events"]] for each in others] == [
        ["responded", "paused"],
        ["resumed", "severity_changed"],
        ["resolved"],
    ]
    assert again["events"] == []


def test_the_only_tool_of_a_tenant_is_the_default(tmp_path: Path) -> None:
    everything = YAML(typ="safe").load(SHIPPED.read_text())
    everything["tenants"]["default"] = {"jira": everything["tenants"]["default"]["jira"]}
    only = tmp_path / "integrations.yaml"
    YAML().dump(everything, only)
    file = sorted((RECORDED / "jira").glob("[0-9]-*.json"))[0]
    result = RUN.invoke(app, ["try", str(file), "--integrations", str(only)])
    assert json.loads(result.output)["ticket"]["source"] == "jira", result.output


def test_try_says_why_a_payload_is_unmapped() -> None:
    payload = '{"freshdesk_webhook": {"ticket_id": 12, "ticket_subject": "Mail", "ticket_status": "Parked"}}'
    result = RUN.invoke(app, ["try", "-", "--provider", "freshdesk"], input=payload)
    found = json.loads(result.output)
    assert {"priority: ticket_priority", "services: ticket_product_name"} <= set(found.pop("found_nothing"))
    assert found == {
        "external_id": "12",
        "unmapped": "unknown_status",
        "detail": "Unknown status `Parked`. Add it to `statuses`.",
    }
    unread = RUN.invoke(app, ["try", "-", "--provider", "freshdesk"], input="no JSON")
    assert json.loads(unread.output)["unmapped"] == "unreadable"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["try", "-", "--provider", "freshdisk"], "Integration freshdisk/default not found; known are connectwise/def"),
        (["try", "-"], "Select the tool: --provider connectwise, autotask, "),
        (["try", "-", "--tenant", "nobody"], "Integration */nobody not found; known are connectwise/default, "),
        (["try", "nothing.json", "--provider", "jira"], "nothing.json cannot be read: there is no such file."),
        (["check", "--integrations", "nothing.yaml"], "nothing.yaml cannot be read: there is no such file."),
        (["replay"], "Give either ids or --all."),
        (["replay", "3", "--all"], "Give either ids or --all."),
    ],
)
def test_a_mistake_exits_with_one_sentence(arguments: list[str], message: str) -> None:
    found = RUN.invoke(app, arguments)
    assert (found.exit_code, found.output.startswith(message)) == (1, True), found.output
