"""A ticket's page as HTML."""

from collections import Counter
from dataclasses import replace
from typing import Any

import pytest
from board.api.html import render
from board.domain.ticket_story import TicketStory
from board.domain.ticket_view import ticket_view
from board.domain.time_words import PageTime
from board.domain.viewer import Viewer
from support.fake_timer import moment, numbered_fact
from support.html_page import HtmlPage
from support.published_stories import PublishedStory, failed, sent_to_fallback
from tocsin.business_time import load_zone
from tocsin.events import FrozenModel
from tocsin.links import ticket_page

HOSTILE = "\"'><script>alert(1)</script><img src=x onerror=alert(1)>&{{7*7}}</svg></title>"
NEW_YORK = load_zone("America/New_York")


def html(story: TicketStory, now: str, tool_page: str | None = None) -> str:
    view = ticket_view(story, PageTime(NEW_YORK, moment(now)), tool_page)
    return render("ticket.html.j2", viewer=Viewer("default", "key"), section=None, view=view)


def overdue() -> PublishedStory:
    teller = PublishedStory.of()
    teller.receive(numbered_fact(1, "opened", "06-08 12:00", severity=1))
    teller.receive(numbered_fact(2, "responded", "06-08 12:10", actor="jo"))
    teller.advance(moment("06-09 13:20"))
    return teller


def hostile(model: Any) -> Any:
    """The model with the hostile text in every field that any text may be in."""
    if not isinstance(model, FrozenModel):
        return model
    fixed = {"tenant", "kind", "clock", "state", "type", "channel", "category", "routed_to", "email", "work_stoppage"}
    fixed |= {"business_risk", "workaround", "resolution_kind", "reason", "by"}
    changes: dict[str, Any] = {}
    for name, value in model:
        if isinstance(value, str) and type(value) is str and name not in fixed:
            changes[name] = HOSTILE
        elif isinstance(value, FrozenModel):
            changes[name] = hostile(value)
    return model.model_copy(update=changes)


def test_no_text_from_outside_becomes_markup() -> None:
    story = overdue().story()
    ticket = hostile(story.ticket.ticket).model_copy(
        update={"affected_services": (HOSTILE,), "description": HOSTILE, "assignee": None}
    )
    first, *others = story.deliveries
    bounced = failed(first, HOSTILE)
    mails = [bounced, sent_to_fallback(bounced, HOSTILE), *(failed(mail, HOSTILE) for mail in others)]
    facts = [fact.model_copy(update={"actor": HOSTILE, "reason": HOSTILE}) for fact in story.facts]
    facts.append(numbered_fact(3, "assigned", "06-08 13:00", actor=HOSTILE, assignee={"name": HOSTILE}))
    attacked = replace(
        story,
        ticket=replace(story.ticket, ticket=ticket, assignee=HOSTILE),
        facts=facts,
        events=[hostile(event) for event in story.events],
        deliveries=[hostile(mail).model_copy(update={"redelivered_by": HOSTILE}) for mail in mails],
        names={HOSTILE: HOSTILE},
    )
    link = ticket_page({HOSTILE: "https://psa.example.com/t/{external_id}"}, ticket)
    text = html(attacked, "06-09 13:20", link)
    page = HtmlPage.of(text)
    assert HOSTILE not in text
    assert not {"script", "img", "iframe", "object"} & set(page.tags)
    assert not [attribute for attribute in page.attributes if attribute[1].startswith("on") or attribute[1] == "style"]
    assert page.text.count("<script>alert(1)</script>") > 40
    assert "49" not in page.text
    assert [value for _, name, value in page.attributes if name == "href" and "psa.example.com" in value] == [link]


def test_ids_are_unique_and_every_link_within_the_page_has_a_target() -> None:
    story = overdue().story()
    first, *others = story.deliveries
    bounced = failed(first, "550")
    page = HtmlPage.of(
        html(replace(story, deliveries=[bounced, sent_to_fallback(bounced, "b@example.com"), *others]), "06-09 13:20")
    )
    assert [name for name, count in Counter(page.ids).items() if count > 1] == []
    targets = [value[1:] for _, name, value in page.attributes if name == "href" and value.startswith("#")]
    assert len(targets) >= 3
    assert set(targets) <= set(page.ids)


def test_the_list_says_everything_that_the_drawing_shows() -> None:
    teller = overdue()
    view = ticket_view(teller.story(), PageTime(NEW_YORK, moment("06-09 13:20")), None)
    page = HtmlPage.of(html(teller.story(), "06-09 13:20"))
    assert len([mark for mark in view.drawing.marks if not mark.planned]) > 5
    for mark in view.drawing.marks:
        if mark.kind != "step" and not mark.planned:
            assert all(title in page.text for title in mark.title.split("; "))
    assert ("svg", "role", "img") in page.attributes
    assert ("div", "tabindex", "0") in page.attributes
    assert "Escalated to tier 2, Senior IT Operations Manager, because the resolution is overdue" in page.text


def test_without_a_response_of_sla_timer_the_page_says_so_and_shows_what_is_stored() -> None:
    story = replace(overdue().story(), ledger=None)
    page = HtmlPage.of(html(story, "06-09 13:20"))
    assert "sla-timer does not respond, so the steps of the calculation are missing." in page.text
    assert "Due Tuesday 9 June 08:10 (1 h 10 min ago)." in page.text
    assert "Resolution is overdue since 08:10" in page.text


def test_a_ticket_whose_clocks_have_not_arrived_has_a_page() -> None:
    story = overdue().story()
    bare = replace(
        story, ticket=replace(story.ticket, clocks=(), ladder=None, tiers=()), events=(), deliveries=(), ledger=None
    )
    page = HtmlPage.of(html(bare, "06-09 13:20"))
    assert "The deadlines of this ticket have not arrived yet." in page.text
    assert "Nobody has been mailed about this ticket." in page.text


def test_voided_entries_are_struck_through() -> None:
    teller = overdue()
    teller.receive(numbered_fact(3, "resolved", "06-09 12:00", received="06-09 13:21", actor="jo"))
    teller.advance(moment("06-09 14:00"))
    text = html(teller.story(), "06-09 14:00")
    assert text.count("<s>") == 5  # the breach, two steps and their mails
    assert "Resolved by jo at 08:00." in HtmlPage.of(text).text
    assert "Late information voided earlier events of its resolution clock." in HtmlPage.of(text).text


def test_a_late_fact_shows_when_it_was_received() -> None:
    teller = overdue()
    teller.receive(numbered_fact(3, "paused", "06-09 12:00", received="06-09 13:30", reason="waiting_customer"))
    page = HtmlPage.of(html(teller.story(), "06-09 13:30"))
    assert "Paused: waiting for the customer not stated Tuesday 9 June 09:30" in page.text


@pytest.mark.parametrize("flag", ["rerouted", "short_notice", "default_opened_at", "contact_unusable"])
def test_remarks_of_intake_are_shown(flag: str) -> None:
    teller = PublishedStory.of(flags=[flag])
    teller.receive(numbered_fact(1, "opened", "06-08 12:00", severity=1))
    teller.advance(moment("06-08 12:10"))
    page = HtmlPage.of(html(teller.story(), "06-08 12:10"))
    assert "Remarks" in page.text
