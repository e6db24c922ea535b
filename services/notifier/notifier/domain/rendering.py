"""The text and the HTML of a mail: its content in the order of reading, laid out by templates. Pure."""

import re
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from jinja2 import Environment, FunctionLoader, StrictUndefined, Template, TemplateError, TemplateSyntaxError
from jinja2.environment import TemplateModule
from markupsafe import Markup, escape

from notifier.domain.sanitize import header_text
from notifier.domain.template_context import MAX_ITEMS, MailContext, Pages, earlier_values, template_values
from notifier.errors import MailTemplateError, MailTooLongError

WORDS: Final = "words.j2"
TEXT: Final = "mail.txt.j2"
HTML: Final = "mail.html.j2"
DIGEST_WORDS: Final = "digest_words.j2"
DIGEST_TEXT: Final = "digest.txt.j2"
DIGEST_HTML: Final = "digest.html.j2"
REPORT_WORDS: Final = "report_words.j2"
TEMPLATES: Final = (WORDS, TEXT, HTML, DIGEST_WORDS, DIGEST_TEXT, DIGEST_HTML, REPORT_WORDS)

_SUBJECT: Final = 160
_REOPENED: Final = 30
_SENDER: Final = 60
_LARGEST: Final = 100_000  # bytes: Gmail cuts off a longer page
_DATE: Final = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")

Rows = list[tuple[str, Sequence[str]]]
"""Labels, each with its lines."""


class MailTemplates:
    """Compiled templates, from their texts by file name. Undefined names are errors, and HTML is escaped.

    `is_own`: some of the files are a deployment's. Raises MailTemplateError for a text that does not compile.
    """

    def __init__(self, files: Mapping[str, str], *, is_own: bool = False) -> None:
        self.is_own = is_own
        self._environment = Environment(
            loader=FunctionLoader(lambda name: (files[name], name, lambda: True) if name in files else None),
            undefined=StrictUndefined,
            autoescape=_is_escaped,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.filters["unbroken"] = _unbroken
        for name in files:
            try:
                self._environment.get_template(name)
            except Exception as error:
                raise MailTemplateError(describe_failure(error)) from error

    @cached_property
    def words(self) -> Any:
        """The macros of `words.j2`, to be called with `template_values`."""
        return self._environment.get_template(WORDS).module

    @cached_property
    def digest_words(self) -> Any:
        """The macros of `digest_words.j2`."""
        return self._environment.get_template(DIGEST_WORDS).module

    @cached_property
    def report_words(self) -> Any:
        """The macros of `report_words.j2`."""
        return self._environment.get_template(REPORT_WORDS).module

    def render(self, name: str, content: Mapping[str, Any]) -> str:
        return self._environment.get_template(name).render(content=content)


@dataclass(frozen=True, slots=True)
class RenderedMail:
    """`sender` is the display name. `subject` is the same in all mails of a ticket's cycle."""

    sender: str
    subject: str
    text: str
    html: str


def render_mail(mail: MailContext, templates: MailTemplates) -> RenderedMail:
    """The mail in the words of `templates`; text from outside is on one line and capped. Raises MailTooLongError."""
    values = template_values(mail)
    words = templates.words
    background, ink = values["colours"]
    content = {
        "headline": words.headline(values),
        "background": background,
        "ink": ink,
        **(_reply_content(words, values, mail) if values["kind"] == "rerouted" else _content(words, values, mail)),
        "origin": words.origin(values),
    }
    text, html = templates.render(TEXT, content), templates.render(HTML, content)
    if max(len(text.encode()), len(html.encode())) > _LARGEST:
        raise MailTooLongError(f"the mail is longer than {_LARGEST:,} bytes")
    # What tells cycles apart comes last and is never cut off.
    reopened = header_text(words.reopened(values), _REOPENED)
    return RenderedMail(
        sender=header_text(words.sender(values), _SENDER),
        subject=f"{header_text(words.subject(values), _SUBJECT)} {reopened}".rstrip(),
        text=text,
        html=html,
    )


def _content(words: Any, values: Mapping[str, Any], mail: MailContext) -> dict[str, Any]:
    """The parts of a mail to one of us."""
    return {
        "notes": _notes(words, values),
        "paragraphs": [],
        "groups": [_without_empty(rows) for rows in _groups(words, values, _earlier(words, values, mail))],
        "actions": _actions(words, values, mail.pages),
    }


def _reply_content(words: Any, values: Mapping[str, Any], mail: MailContext) -> dict[str, Any]:
    """The parts of a mail to a customer: no internal words, and no link into our tools (docs/rules.md#6-6)."""
    guide = mail.pages.help_guide
    action = {"label": "Help guide", "url": guide, "does": words.help_guide(values), "main": True}
    return {
        "notes": [],
        "paragraphs": [words.greeting(values), words.rerouted(values)],
        "groups": [[("Request", [f"{values['external_id']}: {values['summary']}"])]],
        "actions": [action] if guide else [],
    }


def _earlier(words: Any, values: Mapping[str, Any], mail: MailContext) -> Sequence[str]:
    further = len(mail.earlier) - MAX_ITEMS
    return [
        *(words.earlier(earlier_values(earlier, mail.zone)) for earlier in mail.earlier[:MAX_ITEMS]),
        *(words.skipped(tier) for tier in values["skipped"]),
        *([words.more(further)] if further > 0 else []),
    ]


def _notes(words: Any, values: Mapping[str, Any]) -> list[str]:
    """What the reader must know beside the headline, in whole sentences; usually nothing."""
    applies = {
        "ended": values["kind"] == "stand_down",
        "exhausted": values["kind"] == "exhausted",
        "unconfirmed": values["unconfirmed"],
        "late": values["late"],
        "redelivery": values["redelivery"] is not None,
        "fallback": values["instead_of"] is not None,
    }
    return [getattr(words, name)(values) for name, holds in applies.items() if holds]


def _groups(words: Any, values: Mapping[str, Any], earlier: Sequence[str]) -> list[Rows]:
    """First what is wrong, then why the reader gets this and what happens next."""
    kind = values["kind"]
    about: Rows = [
        ("Ticket", [f"{values['external_id']}: {values['summary']}"]),
        ("Description", values["description"]),
        ("Customer", [values["customer"]]),
        ("Affected", [values["affected"]]),
        ("Contact", [values["contact"]]),
        ("Assignee", [values["assignee"] or ""]),
        ("Category", [words.category(values)]),
        ("Severity", [f"{values['severity']} ({values['severity_name']})"]),
        ("Remarks", _remarks(words, values)),
    ]
    why = ("Why you", [words.why(values)])
    if kind == "stand_down":
        return [about, [why, ("Your mails", earlier)]]
    deadline: Rows = [] if kind == "escalation_request" else [("Deadline", [words.deadline(values)])]
    if kind == "exhausted":
        return [[*about, *deadline], [why, ("Notified", earlier), ("Next", [words.next(values)])]]
    is_explicit = kind == "escalation" and values["reason"] == "explicit"
    nobody = ["nobody before you"] if kind == "escalation" else []
    return [
        [
            *about,
            ("Escalated", [f"{values['at']}, {values['at_ago']}"] if is_explicit else []),
            ("Requested", [words.requested(values)] if values["requested_by"] else []),
            ("Target", [words.target(values)] if deadline and values["target"] else []),
            *deadline,
        ],
        [
            why,
            ("Notified", earlier or nobody),
            ("Held", [words.acknowledged(known) for known in values["acknowledgements"]]),
            ("Next", [words.next(values), *([words.next_holder(values)] if values["next_holder"] else [])]),
        ],
    ]


def _remarks(words: Any, values: Mapping[str, Any]) -> list[str]:
    """What intake and the rules say about the ticket's fields, most important first."""
    disputed = [words.disputed(values)] if values["suggested_severity"] else []
    return [*disputed, *(words.flag(values, flag) for flag in values["flags"])]


def _without_empty(rows: Rows) -> Rows:
    return [(label, lines) for label, lines in rows if any(lines)]


def _actions(words: Any, values: Mapping[str, Any], pages: Pages) -> list[dict[str, Any]]:
    """The links, the most important first."""
    links = [
        ("Acknowledge", pages.acknowledge, words.acknowledge, True),
        ("Open ticket", pages.ticket, words.open_ticket, False),
    ]
    return [{"label": label, "url": url, "does": does(values), "main": main} for label, url, does, main in links if url]


def _is_escaped(name: str | None) -> bool:
    """Everything that is not plainly text: a partial template of a deployment may be part of the HTML."""
    return name is None or not name.endswith((WORDS, ".txt.j2"))


def _unbroken(line: str) -> Markup:
    """`line` as HTML in which no date is broken at its hyphens."""
    return Markup(_DATE.sub(r'<span style="white-space:nowrap">\g<0></span>', str(escape(line))))


def describe_failure(error: Exception) -> str:
    """What went wrong, with the template's name and line if a template is to blame."""
    what = (error.message if isinstance(error, TemplateError) else None) or str(error) or "it cannot be rendered"
    if isinstance(error, AttributeError) and isinstance(error.obj, TemplateModule):
        return f"{WORDS} has no macro `{error.name}`"
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or 'a template'}, line {error.lineno}: {what}"
    places = list(_places(error))
    return f"{places[-1]}: {what}" if places else what


def _places(error: Exception) -> Iterator[str]:
    """The places in templates on the error's way, the innermost last. Macros have lines of Python until translated."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        template = frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            yield f"{template.name}, line {template.get_corresponding_lineno(line)}"
        elif frame.f_code.co_filename.endswith(".j2"):
            yield f"{frame.f_code.co_filename}, line {line}"
