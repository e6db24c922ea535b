"""docs/integrations/webhooks.md: its example of webhooks.yaml, JSON, recipes and pauses are those of the code."""

import base64
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from textwrap import dedent
from typing import Any
from uuid import UUID

from board.domain.ticket_links import TicketLinks
from board.domain.webhooks.body import standard_body
from board.domain.webhooks.config import load_webhooks
from board.domain.webhooks.delivery import RETRIES
from board.domain.webhooks.occurrence import WEBHOOK_EVENTS
from board.domain.webhooks.rendering import WebhookTemplate
from board.domain.webhooks.samples import sample_occurrences
from board.domain.webhooks.signature import webhook_headers

PAGE = (Path(__file__).parents[2] / "docs/integrations/webhooks.md").read_text()


def block(heading: str) -> str:
    """The first code block below a heading."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    return next(dedent(found) for found in re.findall(r"(?:^(?: {4}.*)?\n)+", section, re.MULTILINE) if found.strip())


def shape(value: Any) -> Any:
    return {name: shape(each) for name, each in value.items()} if isinstance(value, dict) else None


def test_the_example_of_the_file_is_valid_and_has_every_event() -> None:
    webhooks = load_webhooks(block("webhooks.yaml"), "webhooks.md")
    assert webhooks.endpoints[0].events == WEBHOOK_EVENTS
    assert re.findall(r"^\| `(\w+)` \|", PAGE, re.MULTILINE) == list(WEBHOOK_EVENTS)


def test_the_json_has_the_fields_of_every_body() -> None:
    described = shape(json.loads(block("The JSON")))
    links = TicketLinks("https://board.example.com", {})
    for occurrence in sample_occurrences():
        body = standard_body(occurrence, links)
        for field in ("tier", "next", "voids"):
            body["data"][field] = None
        assert shape(body) == described


def test_the_recipe_verifies_a_webhook() -> None:
    secret = "whsec_" + base64.b64encode(bytes(32)).decode()
    body = block("The JSON")
    names = {"SECRET": secret, "BODY": body, "HEADERS": webhook_headers(UUID(int=1), datetime.now(UTC), body, [secret])}
    exec(block("Verify the signature"), names)
    assert names["event"] == json.loads(body)


def test_the_pauses_are_those_of_the_code() -> None:
    pauses = [RETRIES.pause(failures).total_seconds() for failures in range(1, 9)]
    assert pauses == [5, 15, 45, 135, 405, 1215, 3600, 3600]
    assert "5 s, 15 s, 45 s, 135 s, 405 s, 20 minutes, then an hour" in PAGE


def test_the_example_of_a_template_works() -> None:
    WebhookTemplate("example", block("Other messages")).check()
