"""How a mail is laid out: its headline, what must be known at once, rows, links; then text and HTML of it. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from notifier.domain.sanitize import header_text
from notifier.domain.template_context import MOST, Pages, Telling, entry, sheet
from notifier.domain.templating import HTML, TEXT, Templates

_SUBJECT: Final = 160
_REOPENED: Final = 30
_SENDER: Final = 60
_LARGEST: Final = 100_000  # octets: Gmail cuts a longer page off


class LetterTooLong(Exception):
    """A part longer than mail programs show. Only a deployment's own template can do that."""


@dataclass(frozen=True, slots=True)
class Letter:
    """`sender` is the name it is sent under. `subject` is the same in all mails of a ticket's cycle."""

    sender: str
    subject: str
    text: str
    html: str


def write(telling: Telling, templates: Templates) -> Letter:
    """The letter in the words of `templates`; all that came from outside is on one line and capped."""
    facts = sheet(telling)
    words = templates.words
    told = [
        *(words.told(entry(past, telling.zone)) for past in telling.told[:MOST]),
        *(words.skipped(tier) for tier in facts["skipped"]),
        *([words.more(len(telling.told) - MOST)] if len(telling.told) > MOST else []),
    ]
    background, ink = facts["colours"]
    letter = {
        "headline": words.headline(facts),
        "background": background,
        "ink": ink,
        "notes": _notes(words, facts),
        "groups": [_filled(group) for group in _groups(words, facts, told)],
        "actions": _actions(words, facts, telling.pages),
        "origin": words.origin(facts),
    }
    text, html = templates.rendered(TEXT, letter), templates.rendered(HTML, letter)
    if max(len(text.encode()), len(html.encode())) > _LARGEST:
        raise LetterTooLong(f"a mail of more than {_LARGEST:,} octets")
    return Letter(header_text(words.sender(facts), _SENDER), _subject(words, facts), text, html)


def _subject(words: Any, facts: Mapping[str, Any]) -> str:
    """What tells cycles apart stands at the end, and is never cut off."""
    reopened = header_text(words.reopened(facts), _REOPENED)
    return f"{header_text(words.subject(facts), _SUBJECT)} {reopened}".rstrip()


def _notes(words: Any, facts: Mapping[str, Any]) -> list[str]:
    """What must be known beside the headline, in whole sentences; usually nothing."""
    said = {
        "over": facts["kind"] == "stand_down",
        "unconfirmed": facts["unconfirmed"],
        "late": facts["late"],
        "again": facts["again"] is not None,
        "instead": facts["instead_of"] is not None,
    }
    return [getattr(words, name)(facts) for name, holds in said.items() if holds]


def _groups(words: Any, facts: Mapping[str, Any], told: Sequence[str]) -> list[list[tuple[str, Sequence[str]]]]:
    """Labels and their lines, in the order of reading: what is wrong, then why you and what happens next."""
    about: list[tuple[str, Sequence[str]]] = [
        ("Ticket", [f"{facts['external_id']}: {facts['summary']}"]),
        ("Customer", [facts["customer"]]),
        ("Affected", [facts["affected"]]),
        ("Contact", [facts["contact"]]),
        ("Severity", [f"{facts['severity']} ({facts['severity_name']})"]),
    ]
    why = ("Why you", [words.why(facts)])
    if facts["kind"] == "stand_down":
        return [about, [why, ("Your mails", told)]]
    first = ["nobody, you are the first"] if facts["kind"] == "escalation" else []
    return [
        [
            *about,
            ("This step", [f"{facts['at']}, {facts['at_ago']}"] if facts["reason"] == "explicit" else []),
            ("Promised", [words.promised(facts)]),
            ("Due", [words.due(facts)]),
        ],
        [why, ("Told before", told or first), ("Told next", [words.upcoming(facts)])],
    ]


def _filled(group: Sequence[tuple[str, Sequence[str]]]) -> list[tuple[str, Sequence[str]]]:
    return [(label, lines) for label, lines in group if any(lines)]


def _actions(words: Any, facts: Mapping[str, Any], pages: Pages) -> list[dict[str, Any]]:
    """The links, the most important first: a label, the address, what following it does, and if it stands out."""
    links = [
        ("Acknowledge", pages.acknowledge, words.acknowledging, True),
        ("Open ticket", pages.ticket, words.opening, False),
    ]
    return [{"label": label, "url": url, "does": does(facts), "main": main} for label, url, does, main in links if url]
