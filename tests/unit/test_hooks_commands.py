"""`python -m intake hooks`: what is said of integrations and of payloads without anything that runs."""

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


def test_check_says_which_hooks_there_are_and_which_lack_a_secret() -> None:
    told = RUN.invoke(app, ["check"])
    assert told.exit_code == 0
    assert "POST /v1/hooks/jira/default  generic: ready\n" in told.output
    assert (
        "POST /v1/hooks/autotask/default  autotask: no secret in this environment, in TOCSIN_HOOK_AUTOTASK\n"
        in told.output
    )


def test_check_names_the_line_of_a_mistake(tmp_path: Path) -> None:
    broken = tmp_path / "mine.yaml"
    broken.write_text(SHIPPED.read_text().replace("adapter: autotask", "adapter: autotusk"))
    told = RUN.invoke(app, ["check", "--integrations", str(broken)])
    assert told.exit_code == 1
    assert "adapter: `autotusk` is not a valid value; did you mean `autotask`?" in told.output
    assert told.output.startswith(f"{broken}:")


def test_a_story_is_tried_delivery_by_delivery() -> None:
    files = sorted(str(path) for path in (RECORDED / "jira").glob("[0-9]-*.json"))
    told = RUN.invoke(app, ["try", *files, files[-1], "--provider", "jira"])
    assert told.exit_code == 0, told.output
    first, *others, again = [json.loads(line) for line in told.output.splitlines()]
    assert (first["ticket"]["source"], first["ticket"]["severity"]) == ("jira", 2)
    assert [[event["type"] for event in each["events"]] for each in others] == [
        ["responded", "paused"],
        ["resumed", "severity_changed"],
        ["resolved"],
    ]
    assert again["events"] == []


def test_the_only_tool_of_a_tenant_need_not_be_named(tmp_path: Path) -> None:
    everything = YAML(typ="safe").load(SHIPPED.read_text())
    everything["tenants"]["default"] = {"jira": everything["tenants"]["default"]["jira"]}
    only = tmp_path / "integrations.yaml"
    YAML().dump(everything, only)
    file = sorted((RECORDED / "jira").glob("[0-9]-*.json"))[0]
    told = RUN.invoke(app, ["try", str(file), "--integrations", str(only)])
    assert json.loads(told.output)["ticket"]["source"] == "jira", told.output


def test_what_cannot_be_mapped_says_why() -> None:
    payload = '{"freshdesk_webhook": {"ticket_id": 12, "ticket_subject": "Mail", "ticket_status": "Parked"}}'
    told = RUN.invoke(app, ["try", "-", "--provider", "freshdesk"], input=payload)
    found = json.loads(told.output)
    assert {"priority: ticket_priority", "services: ticket_product_name"} <= set(found.pop("found_nothing"))
    assert found == {
        "external_id": "12",
        "unmapped": "unknown_status",
        "detail": "The status `Parked` is not in `statuses`; say there what it means.",
    }
    unread = RUN.invoke(app, ["try", "-", "--provider", "freshdesk"], input="no JSON")
    assert json.loads(unread.output)["unmapped"] == "unreadable"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["try", "-", "--provider", "freshdisk"], "There is no integration freshdisk/default; there are connectwise/d"),
        (["try", "-"], "Say which tool sends this: --provider connectwise, autotask, "),
        (["try", "-", "--tenant", "nobody"], "There is no integration */nobody; there are connectwise/default, "),
        (["try", "nothing.json", "--provider", "jira"], "nothing.json cannot be read: there is no such file."),
        (["check", "--integrations", "nothing.yaml"], "nothing.yaml cannot be read: there is no such file."),
        (["replay"], "Name ids, or use --all."),
        (["replay", "3", "--all"], "Name ids, or use --all."),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], told: str) -> None:
    found = RUN.invoke(app, arguments)
    assert (found.exit_code, found.output.startswith(told)) == (1, True), found.output
