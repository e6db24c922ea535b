"""Who is on call, as the page shows it."""

from datetime import datetime
from itertools import pairwise

import pytest
from board.api.html import render
from board.domain.on_call_view import OnCallView, on_call_view
from board.domain.role_schedule import roles_on_call
from board.domain.time_words import PageTime
from board.domain.viewer import Viewer
from support.html_page import HtmlPage
from tocsin.business_time import load_zone
from tocsin.directory import Directory, load_directory

NEW_YORK = load_zone("America/New_York")
DIRECTORY = """
people:
  maya: { name: Maya Lindqvist, email: maya@example.com, phone: "+1 212 555 0101 ext. 7" }
  tomas: { name: Tomás Herrera, email: tomas@example.com }
  noor: { name: "<b>Noor</b>", email: noor@example.com }
rotations:
  primary: { zone: America/New_York, members: [maya, tomas], turns: daily, start: 2026-06-01T09:00 }
  office: { zone: America/New_York, members: [noor], turns: weekly, start: 2026-06-01T09:00,
            only: { monday-friday: "08:00-17:00" } }
roles:
  service_desk_team_lead:
    - rotation: primary
    - { person: noor, customer: globex }
    - { rotation: primary, customer: acme }
  senior_it_operations_manager: [ { rotation: office } ]
  it_operations_director: [ { person: tomas } ]
  account_manager: [ { person: noor, to: 2026-06-12T00:00:00Z } ]
  chief_operating_officer: [ { person: maya } ]
  chief_executive_officer: []
overrides:
  - role: it_operations_director
    person: maya
    from: 2026-06-10T12:00:00Z
    to: 2026-06-11T12:00:00Z
    reason: holiday
"""
NOW = datetime.fromisoformat("2026-06-09T14:00:00+00:00")
TIME = PageTime(NEW_YORK, NOW)


@pytest.fixture(scope="module")
def directory() -> Directory:
    return load_directory(DIRECTORY, "directory.yaml")


@pytest.fixture(scope="module")
def view(directory: Directory) -> OnCallView:
    return on_call_view(directory, TIME, is_own=True)


def test_roles_now_and_next_and_customers_where_it_differs(directory: Directory) -> None:
    found = roles_on_call(directory, TIME)
    assert [
        (
            role.title,
            role.customer,
            role.holder.name if role.holder else None,
            role.until.words if role.until else None,
            role.following.name if role.following else None,
        )
        for role in found
    ] == [
        ("Service Desk Team Lead", None, "Maya Lindqvist", "Wednesday 10 June 09:00", "Tomás Herrera"),
        ("Service Desk Team Lead", "globex", "<b>Noor</b>", None, None),
        ("Senior IT Operations Manager", None, "<b>Noor</b>", "Tuesday 9 June 17:00", None),
        ("IT Operations Director", None, "Tomás Herrera", "Wednesday 10 June 08:00", "Maya Lindqvist"),
        ("Account Manager", None, "<b>Noor</b>", "Thursday 11 June 20:00", None),
        ("Chief Operating Officer", None, "Maya Lindqvist", None, None),
        ("Chief Executive Officer", None, None, None, None),
    ]
    assert found[0].rule == 'by the rotation "primary" (day of 2026-06-09)'


def test_handovers_are_in_order_and_said_once(view: OnCallView) -> None:
    first = view.handovers[:4]
    assert [(change.at.words, change.title, change.before, change.after) for change in first] == [
        ("Tuesday 9 June 17:00", "Senior IT Operations Manager", "<b>Noor</b>", None),
        ("Wednesday 10 June 08:00", "IT Operations Director", "Tomás Herrera", "Maya Lindqvist"),
        ("Wednesday 10 June 08:00", "Senior IT Operations Manager", None, "<b>Noor</b>"),
        ("Wednesday 10 June 09:00", "Service Desk Team Lead", "Maya Lindqvist", "Tomás Herrera"),
    ]
    assert len(view.handovers) == 20
    assert {change.customer for change in view.handovers} == {None}


def test_vacancies_now_and_ahead(view: OnCallView) -> None:
    assert [gap.title for gap in view.vacancies if gap.is_now] == ["Chief Executive Officer"]
    weekend = next(gap for gap in view.vacancies if gap.starts_at.words == "Friday 12 June 17:00")
    assert weekend.ends_at is not None
    assert weekend.ends_at.words == "Monday 15 June 08:00"
    assert any("chief_executive_officer: vacant from" in message for message in view.lint)


def test_the_week_is_drawn_without_overlaps(view: OnCallView) -> None:
    assert view.strip is not None
    rows: dict[float, list[tuple[float, float]]] = {}
    for bar in view.strip.bars:
        rows.setdefault(bar.y, []).append((bar.x, bar.x + bar.width))
        assert not bar.label or len(bar.label) * 6 < bar.width
    assert len(rows) == 6
    for row in rows.values():
        assert row == sorted(row)
        assert all(left[1] <= right[0] for left, right in pairwise(row))


def test_the_page_escapes_names_and_links_phones(view: OnCallView) -> None:
    text = render(
        "on_call.html.j2", viewer=Viewer("default", "key"), section="on-call", view=view, notes=("<script>x</script>",)
    )
    page = HtmlPage.of(text)
    assert "b" not in page.tags
    assert "script" not in page.tags
    assert "<b>Noor</b>" in page.text
    assert ("a", "href", "tel:+12125550101") in page.attributes


def test_another_tenant_sees_only_the_names_of_who_is_on_call(directory: Directory) -> None:
    view = on_call_view(directory, TIME, is_own=False)
    text = render("on_call.html.j2", viewer=Viewer("other", "key"), section="on-call", view=view, notes=())
    assert "Maya Lindqvist" in text
    for hidden in ("globex", "555", "primary", "example.com", "vacant from"):
        assert hidden not in text
