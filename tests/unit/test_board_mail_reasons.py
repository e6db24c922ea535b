"""Why somebody was mailed, in words; and the first lines of a ticket's page."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from board.domain.mail_reasons import MailReason, mail_reasons, rule_words
from board.domain.ticket_headline import TicketHeadline, ticket_headline
from board.domain.ticket_history import ticket_history
from board.domain.time_words import PageTime, Words, plain
from support.fake_timer import moment, numbered_fact
from support.published_stories import SHIPPED_DIRECTORY, PublishedStory, failed, sent_to_fallback
from tocsin.business_time import load_zone
from tocsin.events import DeliveryEvent, Fact

NEW_YORK = load_zone("America/New_York")
ROTATION = SHIPPED_DIRECTORY.replace(
    "    - person: maya.lindqvist\n", "    - rotation: primary\n    - person: maya.lindqvist\n", 1
) + (
    "rotations:\n  primary:\n    zone: America/New_York\n    members: [maya.lindqvist]\n    turns: weekly\n"
    "    start: 2026-06-01T09:00\n"
)
VACANT = SHIPPED_DIRECTORY.replace("    - person: maya.lindqvist\n", "    []\n", 1)


def story_of(*facts: Fact, until: str, **fields: Any) -> PublishedStory:
    """The facts arrive one by one, and time passes."""
    published = PublishedStory.of(**fields)
    for fact in facts:
        published.receive(fact)
    published.advance(moment(until))
    return published


def late_resolution(until: str, **fields: Any) -> PublishedStory:
    """Severity 1, responded after 10 minutes, and not resolved within 24 hours."""
    opened, responded = (
        numbered_fact(1, "opened", "06-08 06:00", severity=1),
        numbered_fact(2, "responded", "06-08 06:10"),
    )
    return story_of(opened, responded, until=until, opened_at=opened.occurred_at, **fields)


def reasons(published: PublishedStory) -> list[MailReason]:
    assert published.now is not None
    return mail_reasons(published.story(), PageTime(NEW_YORK, published.now))


def headline(published: PublishedStory) -> TicketHeadline:
    assert published.now is not None
    return ticket_headline(published.story(), PageTime(NEW_YORK, published.now))


def said(sentences: Sequence[Words]) -> str:
    return " ".join(map(plain, sentences))


def test_a_person_at_3_a_m_knows_what_happened_and_what_comes_next() -> None:
    found = headline(late_resolution("06-09 07:25"))
    assert said(found.now) == "Resolution is overdue since 02:10 (1 h 15 min)."
    assert said(found.known) == "Tier 2, Senior IT Operations Manager (Tomás Herrera), was mailed at 03:10."
    assert said(found.following) == "Next: tier 3 (IT Operations Director) at 04:10 (in 45 min)."
    assert found.urgency == "overdue"


@pytest.mark.parametrize(
    ("facts", "until", "now", "following"),
    [
        (
            [numbered_fact(1, "opened", "06-08 12:00", severity=3)],
            "06-08 12:20",
            "Response is due at 17:00 (in 8 h 40 min). Resolution is due on Monday 15 June at 17:00 (in 7 d 8 h, of "
            "which 53 h 40 min count), unless somebody responds before.",
            "Next: the warning of the response at 14:00 (in 5 h 40 min).",
        ),
        (
            [numbered_fact(1, "opened", "06-08 12:00", severity=1)],
            "06-09 20:30",
            "Nobody has responded. The provisional resolution deadline passed at 09:00 (7 h 30 min ago). Response is "
            "overdue since yesterday 09:00 (1 d 7 h).",
            "No tier is left to notify: nobody else will be mailed. Decide together who resolves it.",
        ),
        (
            [
                numbered_fact(1, "opened", "06-08 12:00", severity=1),
                numbered_fact(2, "responded", "06-08 12:10"),
                numbered_fact(3, "paused", "06-08 13:10"),
            ],
            "06-08 20:00",
            "Waiting for the customer: resolution is paused with 23 h left.",
            "",
        ),
        (
            [
                numbered_fact(1, "opened", "06-08 12:00", severity=1),
                numbered_fact(2, "responded", "06-08 12:10"),
                numbered_fact(3, "paused", "06-09 12:30"),
            ],
            "06-09 14:00",
            "Resolution is overdue since 08:10 (1 h 50 min).",
            "The next step of the escalation is not known while the ticket waits for its customer.",
        ),
        (
            [
                numbered_fact(1, "opened", "06-08 12:00", severity=1),
                numbered_fact(2, "resolved", "06-08 12:30", actor="jo"),
            ],
            "06-10 12:00",
            "Resolved by jo on Monday 8 June at 08:30. Response met its deadline, 30 min early. Resolution met its "
            "deadline, 1 d early.",
            "",
        ),
        (
            [numbered_fact(1, "opened", "06-08 12:00", severity=1), numbered_fact(2, "cancelled", "06-08 12:30")],
            "06-08 13:00",
            "Cancelled at 08:30.",
            "",
        ),
    ],
)
def test_the_headline_of(facts: list[Fact], until: str, now: str, following: str) -> None:
    found = headline(story_of(*facts, until=until, initial_severity=facts[0].severity))
    assert (said(found.now), said(found.following)) == (now, following)


def test_a_step_that_is_due_and_has_not_arrived_is_not_said_to_lie_ahead() -> None:
    story = late_resolution("06-09 06:20").story()
    found = ticket_headline(story, PageTime(NEW_YORK, moment("06-09 07:15")))
    assert said(found.following) == (
        "Next: tier 2 (Senior IT Operations Manager) was due at 03:10. That it was notified has not arrived here yet."
    )


def test_an_acknowledgement_and_a_failed_mail_are_in_the_headline() -> None:
    published = late_resolution("06-09 06:11")
    published.receive(numbered_fact(3, "acknowledged", "06-09 06:12", actor="maya.lindqvist"))
    story = published.story()
    broken = [failed(mail, "550 user unknown") if mail.kind == "escalation" else mail for mail in story.deliveries]
    found = ticket_headline(replace(story, deliveries=broken), PageTime(NEW_YORK, moment("06-09 06:12")))
    assert said(found.known) == (
        "Tier 1, Service Desk Team Lead (Maya Lindqvist), could not be reached: the mail bounced at 02:10. "
        "Acknowledged by Maya Lindqvist at 02:12."
    )
    assert said(found.following).endswith("at 03:12 (in 1 h). Escalation is held until then.")


def test_an_escalation_names_role_rule_deadline_and_step() -> None:
    mail = reasons(late_resolution("06-09 07:20", directory=ROTATION))[1]
    assert (mail.reader, mail.title) == ("Maya Lindqvist", "Escalation, tier 1")
    assert plain(mail.why) == (
        'Maya Lindqvist holds the role Service Desk Team Lead by the rotation "primary" (week of 2026-06-08). This is '
        "step 1 of the escalation (tier 1): the resolution deadline passed at 02:10."
    )
    assert plain(mail.state) == "Sent to maya.lindqvist@example.com at 02:10."


def test_a_vacant_tier_that_was_skipped_is_named() -> None:
    mail = next(one for one in reasons(late_resolution("06-09 06:20", directory=VACANT)) if "Escalation" in one.title)
    assert mail.title == "Escalation, tier 2"
    assert "Tier 1 (Service Desk Team Lead) is vacant and was skipped." in plain(mail.why)


def test_warnings_missed_responses_and_stand_downs_have_their_occasion() -> None:
    published = story_of(numbered_fact(1, "opened", "06-08 12:00", severity=1), until="06-09 13:30")
    published.receive(numbered_fact(2, "resolved", "06-09 13:40"))
    by_title = {mail.title: plain(mail.why) for mail in reasons(published)}
    assert "The response was due soon: yesterday at 09:00." in by_title["Warning"]
    assert "The response deadline passed yesterday at 09:00." in by_title["Response missed"]
    assert "nobody had responded when the provisional deadline passed at 09:00" in (by_title["Escalation, tier 1"])
    assert by_title["Stand-down"] == (
        "Maya Lindqvist held the role Service Desk Team Lead, as its holder by default. They were mailed before, and "
        "the ticket was resolved. No action is needed."
    )


def test_fallbacks_and_redeliveries_are_linked_both_ways() -> None:
    story = late_resolution("06-09 06:20").story()
    mail = next(one for one in story.deliveries if one.kind == "escalation")
    first = failed(mail, "5.1.1 550 user unknown")
    second = sent_to_fallback(first, "maya@example.net")
    third = second.model_copy(
        update={
            "delivery_id": mail.notification_id,
            "fallback_of": None,
            "redelivery_of": second.delivery_id,
            "redelivered_by": "Kim",
        }
    )
    found = mail_reasons(replace(story, deliveries=[first, second, third]), PageTime(NEW_YORK, moment("06-09 07:00")))
    chains = [[(plain(words), anchor) for words, anchor in one.chain] for one in found if one.kind != "mail-waiting"]
    names = [f"mail-{one.delivery_id}" for one in (first, second, third)]
    assert chains == [
        [("The same mail was then sent to maya@example.net.", names[1])],
        [
            ("Sent to this address because the mail to maya.lindqvist@example.com failed.", names[0]),
            ("The mail was sent again later, on request.", names[2]),
        ],
        [("Repeats an earlier mail, as requested by Kim.", names[1])],
    ]
    assert plain(found[1].state) == (
        "The mail to maya.lindqvist@example.com was sent, but bounced at 02:10: 5.1.1 550 user unknown."
    )


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"late": True, "attempts": 3}, "Sent to maya.lindqvist@example.com in attempt 3 at 02:10, late."),
        ({"in_digest": True}, "Sent to maya.lindqvist@example.com at 02:10, in a digest with other tickets."),
        (
            {"state": "deferred", "attempts": 2, "reply": "451 busy"},
            "Not sent yet: attempt 2 to maya.lindqvist@example.com failed at 02:10: 451 busy. It will be tried again.",
        ),
        (
            {"state": "refused", "reply": "554 spam"},
            "The mail server refused the mail to maya.lindqvist@example.com at 02:10: 554 spam.",
        ),
        (
            {"state": "cancelled", "reply": "resolved"},
            "Not sent to maya.lindqvist@example.com, because the ticket was resolved first, at 02:10.",
        ),
        (
            {"state": "cancelled", "reply": "already notified"},
            "Not sent to maya.lindqvist@example.com, because the person had been mailed about the same step already, "
            "at 02:10.",
        ),
        (
            {"ambiguous": True},
            "Sent to maya.lindqvist@example.com at 02:10. The server's reply to an attempt was lost, so the mail may "
            "have arrived twice.",
        ),
    ],
)
def test_the_state_of_a_mail(change: dict[str, Any], words: str) -> None:
    story = late_resolution("06-09 06:20").story()
    mail = next(one for one in story.deliveries if one.kind == "escalation")
    assert state_of(mail.model_copy(update=change), late_resolution("06-09 06:20")) == words


def test_a_mail_cancelled_before_its_reader_was_known_claims_no_vacancy() -> None:
    story = late_resolution("06-09 06:20").story()
    mail = next(one for one in story.deliveries if one.kind == "escalation")
    nobody = mail.recipient.model_copy(update={"person": None, "name": None, "email": None, "rule": None})
    time = PageTime(NEW_YORK, moment("06-09 06:20"))

    def words(state: str) -> tuple[str, str, str]:
        changed = mail.model_copy(update={"recipient": nobody, "state": state, "reply": "voided"})
        unaddressed = replace(story, deliveries=(changed,))
        reason = next(one for one in mail_reasons(unaddressed, time) if one.anchor.startswith("mail-"))
        entry = next(one for one in ticket_history(unaddressed, time) if "mail" in one.kind)
        return reason.reader, plain(reason.why).split(". ")[0], plain(entry.words)

    assert words("cancelled") == (
        "Service Desk Team Lead",
        "It was for whoever holds the role Service Desk Team Lead",
        "Mail to the role Service Desk Team Lead was not needed and was not sent (escalation, tier 1)",
    )
    assert words("undeliverable")[:2] == ("nobody", "Nobody holds the role Service Desk Team Lead")


def test_a_notification_without_a_mail_is_listed() -> None:
    published = late_resolution("06-09 06:20")
    story = replace(published.story(), deliveries=())
    waiting = mail_reasons(story, PageTime(NEW_YORK, moment("06-09 06:20")))
    assert [(mail.reader, plain(mail.state)) for mail in waiting] == [
        ("Service Desk Team Lead", "The mail is queued and has not been sent yet.")
    ] * 2
    published.receive(numbered_fact(3, "resolved", "06-09 06:21"))
    ended = mail_reasons(replace(published.story(), deliveries=()), PageTime(NEW_YORK, moment("06-09 06:21")))
    assert "because the ticket was resolved first" in plain(ended[-1].state)


@pytest.mark.parametrize(
    ("rule", "words"),
    [
        ("default", ", as its holder by default"),
        ("customer acme", " for the customer acme"),
        ("rotation primary, week of 2026-06-08", ' by the rotation "primary" (week of 2026-06-08)'),
        (
            "customer acme: rotation primary, turn of 2026-06-08 09:00 EDT",
            ' by the rotation "primary" of the customer acme (turn of 2026-06-08 09:00 EDT)',
        ),
        ("override: until 2026-06-10 12:00 UTC (holiday)", " by an override until 2026-06-10 12:00 UTC (holiday)"),
        (
            "override: instead of Maya until 2026-06-10 12:00 UTC",
            ", covering for Maya until 2026-06-10 12:00 UTC",
        ),
        ("a rule of a later version", " (a rule of a later version)"),
        (None, ""),
    ],
)
def test_the_rule_in_words(rule: str | None, words: str) -> None:
    assert rule_words(rule) == words


def state_of(mail: DeliveryEvent, published: PublishedStory) -> str:
    story = replace(published.story(), deliveries=[mail])
    found: datetime = mail.at + timedelta(minutes=1)
    reason = next(one for one in mail_reasons(story, PageTime(NEW_YORK, found)) if one.anchor.startswith("mail-"))
    return plain(reason.state)
