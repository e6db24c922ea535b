"""The board's first page: groups, counts, filters, escaping, and the headers of every HTML response."""

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest
from board.api.html import CONTENT_SECURITY_POLICY
from board.domain.board_ticket import ClockState, LastMail, TicketPhase
from support.board_pages import BoardPages, board_pages
from support.board_tickets import HOUR, MINUTE, NOW, board_clock, board_ladder, board_ticket, made_board
from tocsin.events import Acknowledgement, Customer

NORTHWIND = Customer(id="northwind", name="Northwind Traders")
HOSTILE = "<script>alert(1)</script>\"'&lt;{{7*7}}"


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[BoardPages]:
    async with board_pages(tmp_path) as made:
        yield made


class Page(HTMLParser):
    """The parts of a page that the tests look at."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.rows: dict[str, list[str]] = {}
        self._group = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.tags.append((tag, values))
        if tag == "section":
            self._group = values["id"] or ""
        if values.get("class") == "id":
            self._takes_id = True

    _takes_id = False

    def handle_data(self, data: str) -> None:
        if self._takes_id:
            self.rows.setdefault(self._group, []).append(data)
            self._takes_id = False


async def rows(board: BoardPages, query: str = "") -> dict[str, list[str]]:
    response = await board.client.get(f"/{query}", headers={"Accept": "text/html"})
    assert response.status_code == 200, response.text
    return Page(response.text).rows


async def test_tickets_are_in_their_groups_by_time_left(board: BoardPages) -> None:
    for name, left in {"late": -HOUR, "later": 40 * HOUR, "soon": HOUR, "latest": -2 * HOUR, "sooner": MINUTE}.items():
        board.source.put(board_ticket(name, clocks=[board_clock(left=left)]))
    board.source.put(board_ticket("quiet", clocks=[board_clock(left=-MINUTE, provisional=True)]))
    assert await rows(board) == {
        "breached": ["latest", "late"],
        "silent": ["quiet"],
        "at_risk": ["sooner", "soon"],
        "later": ["later"],
    }


async def test_time_alone_moves_a_ticket_to_another_group(board: BoardPages) -> None:
    board.source.put(board_ticket("SR-1", clocks=[board_clock(left=5 * HOUR)]))
    assert await rows(board) == {"later": ["SR-1"]}
    board.set_clock(NOW + HOUR)
    assert await rows(board) == {"at_risk": ["SR-1"]}
    board.set_clock(NOW + 5 * HOUR + MINUTE)
    assert await rows(board) == {"breached": ["SR-1"]}


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("", {"SR-1", "SR-2", "SR-3"}),
        ("?customer=&severity=&state=&assignee=&text=&wall=", {"SR-1", "SR-2", "SR-3"}),
        ("?customer=northwind", {"SR-2"}),
        ("?severity=1", {"SR-3"}),
        ("?state=paused", {"SR-3"}),
        ("?assignee=Grace%20Hopper", {"SR-2"}),
        ("?text=vpn", {"SR-1"}),
        ("?text=sr-3", {"SR-3"}),
        ("?text=Northwind", {"SR-2"}),
        ("?severity=3&customer=northwind", {"SR-2"}),
        ("?severity=1&customer=northwind", set()),
        ("?wall=1&severity=1", {"SR-3"}),
    ],
)
async def test_filters_are_in_the_address(board: BoardPages, query: str, found: set[str]) -> None:
    board.source.put(board_ticket("SR-1", summary="VPN drops"))
    board.source.put(board_ticket("SR-2", customer=NORTHWIND, assignee="Grace Hopper"))
    board.source.put(board_ticket("SR-3", severity=1, state=TicketPhase.PAUSED))
    assert {name for names in (await rows(board, query)).values() for name in names} == found


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("?custmer=acme", "custmer"),
        ("?severity=5", "severity"),
        ("?state=closed", "state"),
        ("?wall=2", "wall"),
        ("?severity=1&severity=2", "severity"),
        (f"?text={'x' * 201}", "text"),
    ],
)
async def test_a_wrong_parameter_is_named_on_a_page_or_as_json(board: BoardPages, query: str, field: str) -> None:
    page = await board.client.get(f"/{query}", headers={"Accept": "text/html,application/xhtml+xml"})
    assert (page.status_code, page.headers["content-type"]) == (422, "text/html; charset=utf-8")
    assert f"<code>{field}</code>" in page.text
    problem = await board.client.get(f"/{query}", headers={"Accept": "application/json"})
    assert problem.status_code == 422
    assert [error["field"] for error in problem.json()["errors"]] == [field]


async def test_an_unknown_address_is_a_page_for_a_browser_only(board: BoardPages) -> None:
    page = await board.client.get("/tickts", headers={"Accept": "text/html"})
    assert (page.status_code, page.headers["content-security-policy"]) == (404, CONTENT_SECURITY_POLICY)
    assert "<h1>Not found</h1>" in page.text
    posted = await board.client.post("/", headers={"Accept": "text/html"})
    assert (posted.status_code, posted.headers["allow"]) == (405, "GET")
    for path, accept in (("/tickts", "*/*"), ("/tickts", "application/json"), ("/v1/tickts", "text/html")):
        problem = await board.client.get(path, headers={"Accept": accept})
        assert (problem.status_code, problem.headers["content-type"]) == (404, "application/problem+json")


async def test_counts_are_those_of_the_filtered_tickets(board: BoardPages) -> None:
    for ticket in made_board(80):
        board.source.put(ticket)
    text = (await board.client.get("/?severity=3")).text
    shown = dict(re.findall(r'data-count="(\w+)">(\d+)<', text))
    groups = await rows(board, "?severity=3")
    assert {name: int(shown[name]) for name in groups} == {name: len(found) for name, found in groups.items()}
    assert int(shown["open"]) == int(shown["severity_3"]) == sum(map(len, groups.values()))
    assert shown["severity_1"] == "0"
    assert shown["paused"] == str(text.count("is-paused"))


async def test_a_closed_ticket_leaves_the_board(board: BoardPages) -> None:
    ticket = board.source.put(board_ticket("SR-1"))
    assert await rows(board) == {"later": ["SR-1"]}
    board.source.put(replace(ticket, state=TicketPhase.RESOLVED))
    await board.tickets.refresh()
    assert await rows(board) == {}


async def test_a_tenant_sees_its_own_tickets_and_names_only(board: BoardPages) -> None:
    board.source.put(board_ticket("SR-1"))
    board.source.put(board_ticket("XX-1", tenant="other", customer=NORTHWIND, assignee="Grace Hopper"))
    own = (await board.client.get("/")).text
    headers = {"Authorization": f"Bearer {board.new_key('other')}"}
    others = (await board.client.get("/", headers=headers)).text
    for text, present, absent in ((own, "SR-1", "XX-1"), (others, "XX-1", "SR-1")):
        assert present in text
        assert absent not in text
    assert "Northwind" not in own
    assert "Grace Hopper" not in own


async def test_every_text_of_a_ticket_is_escaped(board: BoardPages) -> None:
    taken = Acknowledgement(at=NOW - HOUR, by=f"by {HOSTILE}")
    ladder = replace(board_ladder(), acknowledgements=(taken,))
    hostile = board_ticket(
        f"id {HOSTILE}",
        summary=f"summary {HOSTILE}",
        customer=Customer(id=f"cid {HOSTILE}", name=f"customer {HOSTILE}"),
        source=f"source {HOSTILE}",
        clocks=[board_clock(state=ClockState.PAUSED, left=HOUR, target_words=f"target {HOSTILE}")],
        assignee=f"assignee {HOSTILE}",
        ladder=replace(ladder, next=replace(ladder.next, role=f"role {HOSTILE}")) if ladder.next else None,
        last_mail=LastMail(f"mailed {HOSTILE}", f"role {HOSTILE}", NOW),
    )
    board.source.put(hostile)
    board.stale.problem = f"stale {HOSTILE}"
    text = (await board.client.get("/", params={"text": HOSTILE})).text
    for field in ("id", "summary", "customer", "cid", "target", "assignee", "by", "mailed", "role", "stale"):
        assert f"{field} &lt;script&gt;" in text.replace("Role", "role"), field
    scripts = [attributes for tag, attributes in Page(text).tags if tag == "script"]
    assert [attributes["src"] for attributes in scripts] == re.findall(r"/static/board\.\w+\.js", text)
    assert "{{7*7}}" in text


async def test_nothing_is_inline_or_from_elsewhere(board: BoardPages) -> None:
    board.source.put(board_ticket())
    for address in ("/", "/?wall=1", "/login", "/?wrong=1"):
        tags = Page((await board.client.get(address)).text).tags
        assert not [tag for tag, attributes in tags if tag == "style" or "style" in attributes]
        assert not [tag for tag, attributes in tags if any(name.startswith("on") for name in attributes)]
        assert not [tag for tag, attributes in tags if tag == "script" and not attributes.get("src")]
        links = [
            value or "" for _, values in tags for name, value in values.items() if name in ("src", "href", "action")
        ]
        assert [link for link in links if not link.startswith(("/", "#"))] == []


async def test_the_headers_of_every_page_forbid_everything_else(board: BoardPages) -> None:
    async with board.browser() as browser:
        responses = [await browser.get(path) for path in ("/", "/login", "/?x=1", "/live?after=x", "/login?next=x&y=1")]
        responses += [
            await board.client.get(path, headers={"Accept": "text/html"}) for path in ("/", "/?wall=1", "/?x=1")
        ]
    for response in responses:
        assert response.headers["content-type"] == "text/html; charset=utf-8"
        assert response.headers["content-security-policy"] == CONTENT_SECURITY_POLICY
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["x-content-type-options"] == "nosniff"
        assert response.headers["referrer-policy"] == "same-origin"


async def test_static_files_are_kept_for_ever_because_their_address_has_a_hash(board: BoardPages) -> None:
    text = (await board.client.get("/")).text
    addresses = set(re.findall(r'"(/static/[^"]+)"', text))
    assert {re.sub(r"\.\w{12}\.", ".", address) for address in addresses} == {
        "/static/board.css",
        "/static/board.js",
        "/static/icon.svg",
    }
    async with board.browser() as browser:
        for address in addresses:
            response = await browser.get(address)
            assert response.status_code == 200
            assert response.headers["cache-control"] == "public, max-age=31536000, immutable"
            assert response.headers["x-content-type-options"] == "nosniff"
            plain = await browser.get(address, headers={"Accept-Encoding": "identity"})
            assert plain.content == response.content
        assert (await browser.get("/static/board.000000000000.css")).status_code == 404


async def test_the_page_says_since_when_it_is_out_of_date(board: BoardPages) -> None:
    sign = re.compile(r'<p id="stale" class="notice at_risk"( hidden)?>(.*)</p>')
    fresh = sign.search((await board.client.get("/")).text)
    board.stale.problem = "No new events are read since Mon 15:05."
    stale = sign.search((await board.client.get("/")).text)
    assert fresh is not None
    assert fresh.groups() == (" hidden", "")
    assert stale is not None
    assert stale.groups() == (None, "No new events are read since Mon 15:05.")


async def test_a_wall_screen_has_no_forms_but_the_same_rows(board: BoardPages) -> None:
    for ticket in made_board(50):
        board.source.put(ticket)
    assert await rows(board, "?wall=1") == await rows(board)
    wall = (await board.client.get("/?wall=1")).text
    assert "<select" not in wall
    assert 'class="wall"' in wall


async def test_a_large_page_is_compressed(board: BoardPages) -> None:
    for ticket in made_board(100):
        board.source.put(ticket)
    packed = await board.client.get("/", headers={"Accept-Encoding": "gzip"})
    plain = await board.client.get("/", headers={"Accept-Encoding": "identity"})
    assert packed.headers["content-encoding"] == "gzip"
    assert "content-encoding" not in plain.headers
    assert packed.text == plain.text


@pytest.mark.parametrize(
    ("breached", "others", "title"),
    [
        (0, 0, "0 open tickets"),
        (0, 1, "1 open ticket"),
        (0, 2, "2 open tickets"),
        (1, 0, "1 breached, 1 open"),
        (2, 3, "2 breached, 5 open"),
    ],
)
async def test_the_title_counts_breached_and_open_tickets(
    board: BoardPages, breached: int, others: int, title: str
) -> None:
    for number in range(breached + others):
        left = -HOUR if number < breached else 6 * HOUR
        board.source.put(board_ticket(f"SR-{number}", clocks=[board_clock(left=left)]))
    page = await board.client.get("/", headers={"Accept": "text/html"})
    assert f"<title>{title} · tocsin</title>" in page.text
