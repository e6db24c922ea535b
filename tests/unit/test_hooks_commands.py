"""`python -m intake hooks check`, `try` and `signing-key`, which need no running service."""

import json
from collections.abc import AsyncIterator, Sequence
from functools import partial
from pathlib import Path

import httpx
import pytest
from intake.commands import hooks
from intake.commands.hooks import app
from intake.sources.signing_keys import fetch_signing_key
from ruamel.yaml import YAML
from support.webhook_recordings import RECORDED, SHIPPED
from typer.testing import CliRunner, Result

RUN = CliRunner()


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TOCSIN_STATE", str(tmp_path))  # where no stack is running
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
        (["try", "-", "--provider", "email"], "`hooks try` reads webhooks. Deliver a mail with `python -m intake mail"),
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


URL = "https://api-eu.myconnectwise.net/v4_6_release/apis/3.0/system/callbacks/signingkeys/nordmsp"
CALLBACK = str(RECORDED / "connectwise/1-added.json")


def signing_key(
    monkeypatch: pytest.MonkeyPatch, *arguments: str, status: int = 200, body: str = '{"signing_key": "k-123"}'
) -> Result:
    """The result of the command if ConnectWise responds like this."""

    async def content() -> AsyncIterator[bytes]:
        yield body.encode()

    transport = httpx.MockTransport(lambda request: httpx.Response(status, content=content()))
    monkeypatch.setattr(hooks, "fetch_signing_key", partial(fetch_signing_key, transport=transport))
    return RUN.invoke(app, ["signing-key", *arguments])


def test_signing_key_compares_the_key_of_a_callback_with_the_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_HOOK_CONNECTWISE", "k-123")
    fetched = f"Fetched a signing key of 5 characters from {URL}.\n"
    for source in (CALLBACK, URL):
        found = signing_key(monkeypatch, source)
        assert (found.exit_code, found.output) == (0, fetched + "It is a secret of connectwise/default.\n")
    monkeypatch.setenv("TOCSIN_HOOK_CONNECTWISE", "another")
    found = signing_key(monkeypatch, CALLBACK)
    assert found.exit_code == 1
    assert "It is no secret of connectwise/default (TOCSIN_HOOK_CONNECTWISE). Put the output of" in found.output
    assert "k-123" not in found.output
    assert signing_key(monkeypatch, CALLBACK, "--show").output == "k-123\n"


@pytest.mark.parametrize(
    ("source", "status", "body", "words"),
    [
        (str(RECORDED / "jira/1-created.json"), 200, "", ["names no signing key: it is no callback of ConnectWise"]),
        ("https://evil.example/key", 200, "", ["https://evil.example/key is not the address of a signing key"]),
        (CALLBACK, 401, "", [URL, "responded with status 401 instead of 200"]),
        (CALLBACK, 200, "<html>", ["responded without a `signing_key` in JSON"]),
        (CALLBACK, 200, '{"signing_key": ""}', ["responded without a `signing_key` in JSON"]),
        (CALLBACK, 200, "x" * 70_000, ["more than 65536 bytes"]),
        ("nothing.json", 200, "", ["nothing.json cannot be read: there is no such file."]),
    ],
)
def test_signing_key_says_what_is_wrong(
    source: str, status: int, body: str, words: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = signing_key(monkeypatch, source, status=status, body=body)
    assert found.exit_code == 1
    assert all(word in found.output for word in words), found.output


def test_the_commands_take_their_settings_from_a_running_stack(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOCSIN_INTEGRATIONS")
    monkeypatch.setenv("TOCSIN_HOOK_ZENDESK", "")
    monkeypatch.delenv("TOCSIN_HOOK_ZENDESK")  # so that it is removed again after the test
    stack = {"intake": {"TOCSIN_INTEGRATIONS": str(SHIPPED), "TOCSIN_HOOK_ZENDESK": "x", "TOCSIN_HOOK_JIRA": ""}}
    (tmp_path / "environment.json").write_text(json.dumps(stack))
    monkeypatch.setenv("TOCSIN_DATABASE_URL", "postgresql+asyncpg://elsewhere/intake")
    assert RUN.invoke(app, ["check"]).exit_code == 2  # another installation is configured
    monkeypatch.delenv("TOCSIN_DATABASE_URL")
    found = RUN.invoke(app, ["check"])
    assert "POST /v1/hooks/zendesk/default  generic: ready\n" in found.output
    assert "POST /v1/hooks/jira/default  generic: ready\n" in found.output  # a variable that is set stays
