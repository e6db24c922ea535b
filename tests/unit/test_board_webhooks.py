"""webhooks.yaml, the bodies of webhooks, their signatures and retries."""

import base64
import json
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import jsonschema
import pytest
from board.commands.app import app
from board.commands.webhooks import schema_text
from board.domain.ticket_links import TicketLinks
from board.domain.webhooks.body import standard_body
from board.domain.webhooks.config import WebhookEndpoint, load_webhooks
from board.domain.webhooks.delivery import (
    AttemptOutcome,
    EndpointHealth,
    OutgoingState,
    OutgoingWebhook,
    after_attempt,
    endpoint_after_attempt,
)
from board.domain.webhooks.occurrence import WebhookOccurrence
from board.domain.webhooks.rendering import WebhookTemplate, render_body
from board.domain.webhooks.samples import sample_occurrences
from board.domain.webhooks.signature import check_secret, webhook_headers
from board.errors import WebhooksFileError, WebhookTemplateError
from board.sources.webhooks_file import chat_templates, read_secrets, read_url
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML
from standardwebhooks import Webhook
from support.calendar_feed import LOOPBACK
from support.webhook_receiver import WebhookResponse, receive_webhooks
from tocsin_local.loopback import free_port
from typer.testing import CliRunner

POLICIES = Path(__file__).parents[2] / "deploy/policy"
NOW = datetime(2026, 6, 8, 12, tzinfo=UTC)
LINKS = TicketLinks("https://board.example.com", {"psa": "https://psa.example.com/tickets/{external_id}"})
SECRET = "whsec_" + base64.b64encode(bytes(32)).decode()
HOSTILE = '<!channel> *bold* & [x](https://evil.example) `{{ "a" }}` ${x} "quoted" \\ \n\u2028 </script>'
WAITING = OutgoingWebhook(
    delivery_id=UUID(int=1),
    tenant="default",
    endpoint="psa",
    ticket_id=UUID(int=2),
    event_id=UUID(int=3),
    event="breached",
    at=NOW,
    body="{}",
    state=OutgoingState.WAITING,
    attempts=1,
    failures=0,
    queued_at=NOW,
    give_up_at=NOW + timedelta(days=1),
    ready_at=NOW,
    finished_at=None,
    status=None,
    problem=None,
)


def config(**fields: Any) -> WebhookEndpoint:
    given_fields: dict[str, Any] = {
        "id": "psa",
        "url": "https://psa.example.com/hook",
        "events": ["breached"],
        "secrets": [{"secret_env": "TOCSIN_WEBHOOK_PSA"}],
    }
    return load_webhooks(json.dumps({"version": "1", "endpoints": [given_fields | fields]}), "webhooks.yaml").endpoints[
        0
    ]


def test_the_schema_file_is_current_and_accepts_the_shipped_file() -> None:
    current = (POLICIES / "webhooks.schema.json").read_text("utf-8")
    assert current == schema_text(), "run: python -m board webhooks schema > deploy/policy/webhooks.schema.json"
    shipped = YAML(typ="safe", pure=True).load(POLICIES / "webhooks.yaml")
    jsonschema.validate(shipped, json.loads(current))


def test_the_examples_in_the_shipped_file_are_valid() -> None:
    text = (POLICIES / "webhooks.yaml").read_text("utf-8")
    lines = text[text.index("endpoints: []") :].splitlines()[1:]
    examples = "\n".join(line.removeprefix("#") for line in lines)
    found = load_webhooks(f'version: "1"\nendpoints:\n{examples}\n', "webhooks.yaml")
    assert [endpoint.format for endpoint in found.endpoints] == ["standard", "teams"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"events": []}, "endpoints[0].events"),
        ({"events": ["breeched"]}, "endpoints[0].events[0]: `breeched` is not a valid value; did you mean `breached`?"),
        ({"events": ["tier", "tier"]}, "endpoints[0].events: lists an event twice"),
        ({"url": "ftp://x.example/"}, "endpoints[0].url: is not a URL"),
        ({"url": "https://user:password@x.example/"}, "endpoints[0].url: is not a URL"),
        ({"url": "https://x.example/ä"}, "endpoints[0].url: is not a URL"),
        ({"url": None}, "endpoints[0].url: must be in one place"),
        ({"url_from": {"secret_env": "A_URL"}}, "endpoints[0].url: must be in one place"),
        ({"secrets": []}, "endpoints[0].secrets: is missing"),
        ({"secrets": ["whsec_c2VjcmV0"]}, "endpoints[0].secrets[0]: must be a mapping"),
        ({"secrets": [{"secret_env": "A"}] * 3}, "endpoints[0].secrets"),
        ({"format": "teams", "template": "x.j2"}, "endpoints[0].format: is not used with a template"),
        ({"filters": {"severities": [5]}}, "endpoints[0].filters.severities[0]"),
        (
            {"filters": {"customer": ["acme"]}},
            "endpoints[0].filters.customer: unknown field; did you mean `customers`?",
        ),
        ({"id": "two words"}, "endpoints[0].id"),
        ({"zone": "Mars/Olympus"}, "endpoints[0].zone"),
    ],
)
def test_a_mistake_is_reported_with_its_line_and_field(fields: Mapping[str, Any], message: str) -> None:
    with pytest.raises(WebhooksFileError) as caught:
        config(**fields)
    assert f"webhooks.yaml:1: {message}" in str(caught.value)
    assert "password" not in str(caught.value).replace("without user, password", "")
    assert "whsec_c2VjcmV0" not in str(caught.value)


def test_an_id_is_used_once() -> None:
    one = '{id: a, url: "https://x.example/", events: [tier], format: slack}'
    with pytest.raises(WebhooksFileError, match=r"webhooks.yaml:4: endpoints\[1\].id: `a` is used twice"):
        load_webhooks(f'version: "1"\nendpoints:\n  - {one}\n  - {one}\n', "webhooks.yaml")


def test_secrets_and_urls_are_read_from_variables_and_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_WEBHOOK_PSA", SECRET)
    (tmp_path / "url").write_text("https://hooks.example.com/T0/secret\n")
    monkeypatch.setenv("TOCSIN_WEBHOOK_URL_FILE", str(tmp_path / "url"))
    endpoint = config(url=None, url_from={"secret_env": "TOCSIN_WEBHOOK_URL"})
    assert read_url(endpoint) == "https://hooks.example.com/T0/secret"
    assert read_secrets(endpoint) == [SECRET]
    (tmp_path / "url").write_text("not a url")
    with pytest.raises(ValueError, match="TOCSIN_WEBHOOK_URL is not a URL"):
        read_url(endpoint)
    monkeypatch.setenv("TOCSIN_WEBHOOK_PSA", "hunter2")
    with pytest.raises(ValueError, match=r"^TOCSIN_WEBHOOK_PSA must be whsec_ and base64 of 24 to 64 random bytes$"):
        read_secrets(endpoint)
    monkeypatch.delenv("TOCSIN_WEBHOOK_PSA")
    with pytest.raises(ValueError, match="TOCSIN_WEBHOOK_PSA with the secret is not set"):
        read_secrets(endpoint)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_!!!!", "whsec_c2hvcnQ=", SECRET.removeprefix("whsec_")])
def test_a_weak_or_malformed_secret_is_refused(secret: str) -> None:
    with pytest.raises(ValueError, match="must be whsec_"):
        check_secret(secret)


@given(st.text(), st.binary(min_size=24, max_size=64))
def test_the_library_of_standard_webhooks_verifies_every_body(text: str, key: bytes) -> None:
    body = json.dumps({"text": text}, ensure_ascii=False)
    encodable = body.encode(errors="replace").decode()
    secret = "whsec_" + base64.b64encode(key).decode().rstrip("=")
    headers = webhook_headers(UUID(int=1), datetime.now(UTC), encodable, [secret])
    assert Webhook(secret).verify(encodable.encode(), headers) == json.loads(encodable)


def hostile(occurrence: WebhookOccurrence) -> WebhookOccurrence:
    ticket = occurrence.ticket
    named = ticket.customer.model_copy(update={"name": HOSTILE})
    long = {"summary": HOSTILE * 100, "external_id": HOSTILE, "customer": named}
    return replace(occurrence, ticket=ticket.model_copy(update=long), acknowledged_by=HOSTILE)


def texts(node: Any, kind: str) -> list[str]:
    """The `text` of every object of this type in a body."""
    if isinstance(node, dict):
        own = [node["text"]] if node.get("type") == kind and isinstance(node.get("text"), str) else []
        return own + [found for value in node.values() for found in texts(value, kind)]
    return [found for each in node for found in texts(each, kind)] if isinstance(node, list) else []


@pytest.mark.parametrize("occurrence", [*sample_occurrences(), *map(hostile, sample_occurrences())])
def test_a_slack_message_keeps_slacks_limits_and_its_texts_cannot_be_markup(occurrence: WebhookOccurrence) -> None:
    endpoint = config(format="slack", secrets=[])
    message = json.loads(render_body(endpoint, chat_templates()["slack"], occurrence, LINKS))
    header, title, fields, actions = message["blocks"]
    assert len(header["text"]["text"]) <= 150
    assert len(title["text"]["text"]) <= 3000
    assert header["text"]["type"] == title["text"]["type"] == "plain_text"
    assert title["text"]["text"].startswith(occurrence.ticket.external_id[:100])
    assert 1 <= len(fields["fields"]) <= 10
    for text in [message["text"], *texts(message, "mrkdwn")]:
        assert len(text) <= 3000
        assert not set("<>") & set(text)
        assert "&" not in text.replace("&amp;", "").replace("&lt;", "").replace("&gt;", "")
    assert all(len(field["text"]) <= 2000 for field in fields["fields"])
    assert [button["url"].split("/")[2] for button in actions["elements"]] == ["board.example.com", "psa.example.com"]


@pytest.mark.parametrize("occurrence", [*sample_occurrences(), *map(hostile, sample_occurrences())])
def test_a_teams_card_has_texts_of_tickets_in_text_runs_only(occurrence: WebhookOccurrence) -> None:
    endpoint = config(format="teams", secrets=[], zone="America/New_York")
    body = render_body(endpoint, chat_templates()["teams"], occurrence, LINKS)
    assert len(body.encode()) < 28_000
    [attachment] = json.loads(body)["attachments"]
    assert attachment["contentType"] == "application/vnd.microsoft.card.adaptive"
    card = attachment["content"]
    assert (card["type"], card["version"]) == ("AdaptiveCard", "1.4")
    assert {block["type"] for block in card["body"]} == {"RichTextBlock"}
    runs = texts(card, "TextRun")
    assert f"{occurrence.ticket.external_id}: {occurrence.ticket.summary}"[:1900] in "".join(runs)
    assert "2026-06-08 12:00 UTC (08:00 EDT)" in runs
    assert [action["type"] for action in card["actions"]] == ["Action.OpenUrl"] * 2


@pytest.mark.parametrize("format", ["teams", "slack"])
def test_a_message_without_links_has_no_buttons(format: str) -> None:
    for occurrence in sample_occurrences():
        body = render_body(config(format=format, secrets=[]), chat_templates()[format], occurrence, TicketLinks())
        assert "http" not in body.replace("http://adaptivecards.io", "")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{{ event.data.no_such }}", "has no attribute 'no_such'"),
        ("{% if %}", "line 1"),
        ('{"a": {{ event.data.headline }}}', "does not write JSON"),
        ('{"a": "{{ event.__class__.__mro__ }}"}', "unsafe"),
        ('{% include "/etc/passwd" %}', "no loader"),
        ("{{ 1 / 0 }}", "division"),
        ('["{{ "x" * 30000 }}"]', "more than 25,000 bytes"),
    ],
)
def test_a_template_that_cannot_be_used_is_refused_when_it_is_loaded(text: str, message: str) -> None:
    with pytest.raises(WebhookTemplateError, match=r"mine\.j2") as caught:
        WebhookTemplate("mine.j2", text).check()
    assert message in str(caught.value)


def test_a_template_shows_instants_in_the_zone_of_the_endpoint() -> None:
    template = WebhookTemplate("mine.j2", '["{{ event.timestamp | local(zone) }}", "{{ ("a" * 9) | clip(3) }}"]')
    occurrence = next(iter(sample_occurrences()))
    rendered = template.render(standard_body(occurrence, LINKS), ZoneInfo("Europe/Berlin"))
    assert json.loads(rendered) == ["2026-06-08 12:00 UTC (14:00 CEST)", "aa…"]


def test_pauses_grow_to_an_hour_and_the_last_attempt_is_a_day_later() -> None:
    webhook, now, pauses = WAITING, NOW, []
    while webhook.state is OutgoingState.WAITING:
        webhook = after_attempt(webhook, AttemptOutcome(status=500), now, 1.0)
        if webhook.ready_at is not None:
            pauses.append((webhook.ready_at - now).total_seconds())
            now = webhook.ready_at
    assert pauses[:8] == [5, 15, 45, 135, 405, 1215, 3600, 3600]
    assert (webhook.state, now, webhook.finished_at) == (OutgoingState.FAILED, WAITING.give_up_at, now)


@pytest.mark.parametrize(
    ("outcome", "state", "seconds"),
    [
        (AttemptOutcome(status=200), OutgoingState.DELIVERED, None),
        (AttemptOutcome(status=299), OutgoingState.DELIVERED, None),
        (AttemptOutcome(status=302), OutgoingState.WAITING, 5),
        (AttemptOutcome(status=400), OutgoingState.WAITING, 5),
        (AttemptOutcome(status=410), OutgoingState.FAILED, None),
        (AttemptOutcome(problem="cannot be reached"), OutgoingState.WAITING, 5),
        (AttemptOutcome(status=429, retry_after=timedelta(minutes=3)), OutgoingState.WAITING, 180),
        (AttemptOutcome(status=503, retry_after=timedelta(seconds=1)), OutgoingState.WAITING, 5),
        (AttemptOutcome(status=503, retry_after=timedelta(days=9)), OutgoingState.WAITING, 86400),
    ],
)
def test_what_an_attempt_makes_of_a_webhook(outcome: AttemptOutcome, state: OutgoingState, seconds: int | None) -> None:
    after = after_attempt(WAITING, outcome, NOW, 1.0)
    assert after.state is state
    assert after.ready_at == (None if seconds is None else NOW + timedelta(seconds=seconds))


def test_an_endpoint_is_left_alone_while_it_fails_and_its_first_success_ends_that() -> None:
    health = EndpointHealth()
    for failures, pause in enumerate([1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300], start=1):
        health = endpoint_after_attempt(health, AttemptOutcome(problem="hangs"), "a", NOW, 1.0)
        assert (health.failures, health.paused_until) == (failures, NOW + timedelta(seconds=pause))
        assert health.is_failing == (failures >= 3)
    of_one_webhook = endpoint_after_attempt(EndpointHealth(), AttemptOutcome(status=422), "a", NOW, 1.0)
    assert (of_one_webhook.failures, of_one_webhook.paused_until) == (1, None)
    gone = endpoint_after_attempt(EndpointHealth(), AttemptOutcome(status=410), "a", NOW, 1.0)
    assert (gone.is_gone, gone.is_failing) == (True, True)
    assert endpoint_after_attempt(health, AttemptOutcome(status=200), "a", NOW, 1.0) == EndpointHealth()
    moved = endpoint_after_attempt(health, AttemptOutcome(status=503), "b", NOW, 1.0)
    assert (moved.failures, moved.paused_until) == (1, NOW + timedelta(seconds=1))


def test_the_commands_check_the_file_and_send_an_example(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_STATE", str(tmp_path))  # where no stack is running
    monkeypatch.setenv("TOCSIN_WEBHOOKS", str(tmp_path / "webhooks.yaml"))
    monkeypatch.setenv("TOCSIN_WEBHOOK_NETWORKS", ",".join(map(str, LOOPBACK)))
    monkeypatch.setenv("TOCSIN_WEBHOOK_PSA", SECRET)
    monkeypatch.delenv("TOCSIN_WEBHOOK_CHAT", raising=False)

    def run(*arguments: str) -> tuple[int, str]:
        result = CliRunner().invoke(app, ["webhooks", *arguments])
        return result.exit_code, result.output.strip()

    missing = f"{tmp_path}/webhooks.yaml cannot be read: there is no such file."
    assert run("check") == (1, missing)
    with receive_webhooks() as receiver:
        psa = {"id": "psa", "url": receiver.url, "events": ["tier"], "secrets": [{"secret_env": "TOCSIN_WEBHOOK_PSA"}]}
        chat = {"id": "chat", "url_from": {"secret_env": "TOCSIN_WEBHOOK_CHAT"}, "events": ["tier"], "format": "slack"}
        nowhere = psa | {"id": "nowhere", "url": f"http://127.0.0.1:{free_port()}/"}
        (tmp_path / "webhooks.yaml").write_text(json.dumps({"version": "1", "endpoints": [psa, chat, nowhere]}))
        assert run("check") == (
            0,
            "psa  default  standard  tier: ready\n"
            "chat  default  slack  tier: TOCSIN_WEBHOOK_CHAT with the URL is not set in this environment\n"
            "nowhere  default  standard  tier: ready",
        )
        with monkeypatch.context() as changed:
            changed.delenv("TOCSIN_WEBHOOK_NETWORKS")
            code, printed = run("check")
            refused = printed.splitlines()[-1].removeprefix("nowhere  default  standard  tier: ")
            assert (code, "allow its network: TOCSIN_WEBHOOK_NETWORKS=127.0.0.1/32" in refused) == (0, True)
            assert run("test", "nowhere") == (1, f"nowhere {refused}.")
        receiver.response = WebhookResponse(200, b"ok")
        assert run("test", "psa") == (0, "psa responded with status 200: ok")
        [webhook] = receiver.received
        body = Webhook(SECRET).verify(webhook.body, dict(webhook.headers))
        assert (body["type"], body["data"]["example"]) == ("sla.tier", True)
        receiver.response = WebhookResponse(500)
        assert run("test", "psa") == (1, "psa responded with status 500\nOnly 2xx is success.")
        assert run("test", "nowhere") == (1, "nowhere cannot be reached: connection refused.")
        assert run("test", "chat") == (1, "chat TOCSIN_WEBHOOK_CHAT with the URL is not set.")
        assert run("test", "x") == (1, "Endpoint x not found; known are psa, chat, nowhere.")
