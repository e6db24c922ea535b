"""Renders the body of a webhook: the standard JSON, or a template's JSON for a chat tool. Pure."""

import json
from collections.abc import Mapping
from datetime import datetime, tzinfo
from typing import Any, Final

from jinja2 import StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import ImmutableSandboxedEnvironment
from tocsin.business_time import load_zone
from tocsin.instants import display_instant

from board.domain.ticket_links import TicketLinks
from board.domain.webhooks.body import standard_body
from board.domain.webhooks.config import WebhookEndpoint
from board.domain.webhooks.occurrence import WebhookOccurrence
from board.domain.webhooks.samples import sample_occurrences
from board.errors import WebhookTemplateError

MAX_BODY_BYTES: Final = 25_000
"""Teams accepts 28 kB. The standard body is not limited: a ticket's fields are."""


class WebhookTemplate:
    """A compiled template. It reads `event`, the standard body. Undefined names are errors, and there is no I/O.

    Filters beside Jinja2's: `slack` escapes text for Slack's mrkdwn, `clip(n)` cuts text to n characters, `local` shows
    an instant in the endpoint's zone. `tojson` writes any value as JSON. Raises WebhookTemplateError.
    """

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, autoescape=False)
        environment.filters |= {"slack": _slack, "clip": _clip, "local": _local}
        try:
            self._template = environment.from_string(text)
        except TemplateSyntaxError as error:
            raise WebhookTemplateError(f"{name}, line {error.lineno}: {error.message}") from None

    def render(self, event: Mapping[str, Any], zone: tzinfo) -> str:
        """The JSON for an event. Raises WebhookTemplateError if the template fails or does not write JSON."""
        try:
            text = self._template.render(event=event, zone=zone)
        except TemplateError as error:
            raise WebhookTemplateError(f"{self.name}: {error.message or 'cannot be rendered'}") from None
        except Exception as error:  # an expression in a template may raise any error
            raise WebhookTemplateError(f"{self.name}: {error or type(error).__name__}") from error
        try:
            body = _compact(json.loads(text))
        except (ValueError, RecursionError) as error:
            raise WebhookTemplateError(f"{self.name} does not write JSON: {error}") from None
        if len(body.encode()) > MAX_BODY_BYTES:
            raise WebhookTemplateError(f"{self.name} writes more than {MAX_BODY_BYTES:,} bytes")
        return body

    def check(self) -> None:
        """Render every kind of event. Raises WebhookTemplateError."""
        for occurrence in sample_occurrences():
            self.render(standard_body(occurrence, _SAMPLE_LINKS, is_example=True), _UTC)
            self.render(standard_body(occurrence, TicketLinks(), is_example=True), _UTC)


def render_body(
    endpoint: WebhookEndpoint,
    template: WebhookTemplate | None,
    occurrence: WebhookOccurrence,
    links: TicketLinks,
    *,
    is_example: bool = False,
) -> str:
    """The JSON that the endpoint gets. `template` is that of its format, None for the standard one.

    Raises WebhookTemplateError.
    """
    event = standard_body(occurrence, links, is_example=is_example)
    return _compact(event) if template is None else template.render(event, load_zone(endpoint.zone))


def render_standard(occurrence: WebhookOccurrence, links: TicketLinks) -> str:
    """The standard JSON, whatever the endpoint's format."""
    return _compact(standard_body(occurrence, links))


def _compact(body: Any) -> str:
    return json.dumps(body, ensure_ascii=False, separators=(",", ":"))


def _slack(text: object) -> str:
    """https://docs.slack.dev/messaging/formatting-message-text#escaping"""
    return str(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clip(text: object, most: int) -> str:
    line = str(text)
    return line if len(line) <= most else f"{line[: most - 1]}…"


def _local(instant: str, zone: tzinfo) -> str:
    return display_instant(datetime.fromisoformat(instant), zone)


_UTC: Final = load_zone("UTC")
_SAMPLE_LINKS: Final = TicketLinks("https://sla.example.com", {"psa": "https://psa.example.com/tickets/{external_id}"})
