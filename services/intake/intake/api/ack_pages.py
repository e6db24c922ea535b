"""The pages for people: their words, and the HTML they become. Pure.

They work on any phone: no script, no login, nothing from elsewhere; what they may do is said in `POLICY`.
"""

from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo
from hashlib import sha256
from importlib.resources import files
from typing import Final

from jinja2 import Environment, PackageLoader, StrictUndefined
from tocsin.acknowledgement import AcknowledgementLink
from tocsin.events import Fact
from tocsin.instants import display_instant
from tocsin.policy import Rules

from intake.domain.acknowledgement import Finding

_STYLE: Final = (files("intake") / "templates" / "page.css").read_text()
_TEMPLATE: Final = Environment(
    loader=PackageLoader("intake", "templates"), undefined=StrictUndefined, autoescape=True
).get_template("page.html.j2")
_LONGEST: Final = 300

POLICY: Final = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(_STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
)
"""The Content-Security-Policy of every page."""


@dataclass(frozen=True, slots=True)
class Page:
    """`rows` are labels with what they label; `button`, where there is one, posts to the page's own address."""

    title: str
    sentences: tuple[str, ...] = ()
    rows: tuple[tuple[str, str], ...] = ()
    button: str | None = None
    afterwards: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class About:
    """The ticket as a page names it."""

    external_id: str
    summary: str
    customer: str


def html(page: Page) -> str:
    """The page as a document of its own."""
    return _TEMPLATE.render(page=page, style=_STYLE)


def acknowledgement_page(
    link: AcknowledgementLink, about: About, finding: Finding, rules: Rules, held_until: datetime | None
) -> Page:
    """What the holder of a link sees: the question, or why there is none any more."""
    rows = tuple(_rows(link, about, finding, rules.calendar.zone))
    zone = rules.calendar.zone
    match finding.state:
        case "superseded":
            return Page(
                "Reopened since",
                (f"{_cut(about.external_id)} was reopened after this mail was written.", _NEWER),
                rows,
            )
        case "closed":
            told = f"{_cut(about.external_id)} {_ended(finding.story.ended_by, zone)}."
            return Page("Nothing to acknowledge", (told, "Nothing is asked of you any more."), rows)
        case "acknowledged" if finding.given is not None and held_until is not None:
            given = display_instant(finding.given.occurred_at, zone)
            thanks = f"Thank you, {_cut(link.name)}. You acknowledged {_cut(about.external_id)} at {given}."
            return Page("Acknowledged", (thanks, _held(link, held_until, finding.given, zone), _RUNS_OUT), rows)
        case _:
            you = f"{_cut(link.name)}, you were mailed as {_cut(link.tier.title)} (tier {link.tier.number})."
            words = rules.interval[finding.story.severity].words
            does = (
                "If you acknowledge, the next tier is told when it was scheduled or "
                f"{words} after your acknowledgement, whichever is later."
            )
            return Page(f"Acknowledge {_cut(about.external_id)}?", (you,), rows, "Acknowledge", (does, _RUNS_OUT))


def expired_page(link: AcknowledgementLink) -> Page:
    return Page("This link has expired", (f"It counted until {display_instant(link.expires_at, UTC)}.", _NEWER))


def refused_page() -> Page:
    again = "It may have been cut short: open it from the mail again, or copy the whole of it."
    return Page("This link cannot be read", (again, "Nothing was changed."))


def unknown_page() -> Page:
    return Page("There is no such ticket", ("The ticket of this link is not known here.", "Nothing was changed."))


def unavailable_page() -> Page:
    return Page("Please try again in a minute", ("The system does not answer just now.", "Nothing was lost."))


_NEWER: Final = "If the ticket still needs you, use the link in the newest mail about it."
_RUNS_OUT: Final = (
    "An acknowledgement runs out by itself, and it resolves nothing: that is done in the ticket's own tool. Where a "
    "stand-down came after the mail, nobody is told any more, and it changes nothing."
)


def _rows(link: AcknowledgementLink, about: About, finding: Finding, zone: tzinfo) -> Iterator[tuple[str, str]]:
    yield "Ticket", f"{_cut(about.external_id)}: {_cut(about.summary)}"
    yield "Customer", _cut(about.customer)
    yield "Severity", str(finding.story.severity)
    yield "Now", _ended(finding.story.ended_by, zone) if finding.story.ended_by else "open"
    yield "When the mail was written", _upcoming(link, zone)
    if finding.answered is not None:
        yield "Answered", _by(finding.answered, zone)
    for fact in finding.others[-3:]:
        yield "Acknowledged", _by(fact, zone)


def _by(fact: Fact, zone: tzinfo) -> str:
    return f"by {_cut(fact.actor or 'somebody')} at {display_instant(fact.occurred_at, zone)}"


def _upcoming(link: AcknowledgementLink, zone: tzinfo) -> str:
    upcoming = link.upcoming
    if upcoming is None:
        return "it was not known who is told next"
    if upcoming.tier is None:
        return f"nobody was left above you; the ladder would end at {display_instant(upcoming.at, zone)}"
    return f"next: tier {upcoming.tier.number}, {_cut(upcoming.tier.title)}, at {display_instant(upcoming.at, zone)}"


def _held(link: AcknowledgementLink, until: datetime, given: Fact, zone: tzinfo) -> str:
    upcoming = link.upcoming
    at = display_instant(until, zone)
    if upcoming is not None and upcoming.tier is None and upcoming.at < given.occurred_at:
        return f"Nobody is left above you to be held: the ladder ended at {display_instant(upcoming.at, zone)}."
    if upcoming is None or upcoming.at < given.occurred_at:
        return f"Whoever comes next is told at {at} at the earliest, and only if the ticket is still open then."
    if upcoming.tier is None:
        return f"Nobody is left above you; the ladder ends at {at} at the earliest."
    title = f"tier {upcoming.tier.number}, {_cut(upcoming.tier.title)}"
    return f"The next, {title}, is told at {at} at the earliest, and only if the ticket is still open then."


def _ended(by: Fact | None, zone: tzinfo) -> str:
    if by is None:
        return "is open"
    how = "given a workaround" if by.resolution_kind == "workaround" else str(by.type)
    who = f" by {_cut(by.actor)}" if by.actor else ""
    return f"was {how}{who} at {display_instant(by.occurred_at, zone)}"


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"
