"""Access to the board's pages: sessions from API keys, trusted proxies, keys with each request; and nothing else."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path

import httpx
import pytest
from board.api.session import SESSION_TIME, SessionSigner
from board.domain.local_path import local_path
from board.errors import InvalidSessionError
from itsdangerous import URLSafeTimedSerializer
from support.board_pages import SESSION_KEY, BoardPages, board_pages
from support.board_tickets import board_ticket
from support.metrics import counter_value
from tocsin.runtime.http.api_keys import ADMIN, TICKETS_READ, TICKETS_WRITE, KeyFile, KeyRing, edit_keys, write_keys
from tocsin.runtime.http.rate_limit import FREE_ATTEMPTS, MOST_DELAYED

PROXY = "10.20.0.5"
GROUPS = {"desk-north": "default", "desk-south": "other"}


@pytest.fixture
async def board(tmp_path: Path) -> AsyncIterator[BoardPages]:
    async with board_pages(tmp_path, proxies=[ip_network("10.20.0.0/16")], tenants=GROUPS) as made:
        made.source.put(board_ticket("SR-1"))
        made.source.put(board_ticket("XX-1", tenant="other"))
        yield made


async def login(browser: httpx.AsyncClient, key: str, next_path: str = "/", **headers: str) -> httpx.Response:
    return await browser.post("/login", data={"key": key, "next": next_path}, headers=headers)


async def tickets(browser: httpx.AsyncClient, **headers: str) -> set[str] | int:
    """The tickets on the page, or the status if it is not the board."""
    response = await browser.get("/", headers=headers)
    return {name for name in ("SR-1", "XX-1") if name in response.text} if response.is_success else response.status_code


async def test_a_page_without_access_leads_to_the_login_and_back(board: BoardPages) -> None:
    async with board.browser() as browser:
        first = await browser.get("/?severity=1&text=a%20b")
        assert (first.status_code, first.headers["location"]) == (303, "/login?next=/%3Fseverity%3D1%26text%3Da%2520b")
        form = await browser.get(first.headers["location"])
        assert 'name="next" value="/?severity=1&amp;text=a%20b"' in form.text
        done = await login(browser, board.key, "/?severity=1&text=a%20b")
        assert (done.status_code, done.headers["location"]) == (303, "/?severity=1&text=a%20b")
        assert await tickets(browser) == {"SR-1"}


async def test_a_machine_without_access_gets_a_problem(board: BoardPages) -> None:
    async with board.browser() as browser:
        response = await browser.get("/", headers={"Accept": "application/json"})
    assert (response.status_code, response.headers["content-type"]) == (401, "application/problem+json")


@pytest.mark.parametrize(
    ("site", "name", "secure"),
    [
        ("http://localhost", "tocsin", False),
        ("http://127.0.0.1:8084", "tocsin", False),
        ("https://board.example.com", "__Host-tocsin", True),
    ],
)
async def test_the_cookie_is_out_of_reach_of_scripts_and_other_sites(
    board: BoardPages, site: str, name: str, secure: bool
) -> None:
    async with board.browser(site=site) as browser:
        cookie = (await login(browser, board.key)).headers["set-cookie"]
    assert cookie.startswith(f"{name}=")
    parts = {part.lower() for part in cookie.split("; ")[1:]}
    assert parts - {"secure"} == {"httponly", "samesite=lax", "path=/", "max-age=43200"}
    assert ("secure" in parts) == secure


async def test_behind_a_proxy_that_ends_tls_the_cookie_is_secure(board: BoardPages) -> None:
    async with board.browser(site="http://board.example.com") as browser:
        done = await login(browser, board.key, Origin="https://board.example.com")
        assert "Secure" in done.headers["set-cookie"]
        plain = await login(browser, board.key)
        assert plain.status_code == 400
        assert "https" in plain.text
        assert "set-cookie" not in plain.headers


@pytest.mark.parametrize(
    ("scopes", "status"), [((TICKETS_READ,), 303), ((TICKETS_WRITE,), 403), ((ADMIN,), 403)], ids=str
)
async def test_only_a_key_that_reads_tickets_signs_in(board: BoardPages, scopes: tuple[str, ...], status: int) -> None:
    async with board.browser() as browser:
        done = await login(browser, board.new_key(scopes=scopes))
    assert done.status_code == status
    assert ("set-cookie" in done.headers) == (status == 303)


async def test_a_wrong_key_is_refused_and_not_shown_again(board: BoardPages) -> None:
    async with board.browser() as browser:
        done = await login(browser, "tcs_wrongkey_secret")
        assert done.status_code == 401
        assert "not valid" in done.text
        assert "secret" not in done.text
        assert await tickets(browser) == 303


async def test_failed_attempts_are_limited_as_everywhere(board: BoardPages) -> None:
    before = counter_value("sla_keys_refused_total", reason="unknown")
    waited = board.app.state.failed_auth_limiter
    async with board.browser("192.0.2.9") as browser:
        for _ in range(FREE_ATTEMPTS):
            assert (await login(browser, "tcs_wrongkey_secret")).status_code == 401
        waited._delayed = MOST_DELAYED  # as many as may wait at the same time
        assert (await login(browser, "tcs_wrongkey_secret")).status_code == 429
        assert (await login(browser, board.key)).status_code == 303
    assert counter_value("sla_keys_refused_total", reason="unknown") == before + FREE_ATTEMPTS + 1


async def test_a_removed_key_ends_its_sessions_at_once(board: BoardPages) -> None:
    key = board.new_key()
    async with board.browser() as browser:
        await login(browser, key)
        assert await tickets(browser) == {"SR-1"}
        edit_keys(board.keys, lambda keys: [each for each in keys if each.id != key.split("_")[1]])
        assert await tickets(browser) == 303


async def test_a_key_that_expires_or_loses_its_scope_ends_its_sessions(board: BoardPages) -> None:
    async with board.browser() as browser:
        for change in ({"expires_at": datetime.now(UTC) - timedelta(seconds=1)}, {"scopes": (TICKETS_WRITE,)}):
            present = KeyRing(board.keys).keys
            await login(browser, board.key)
            assert await tickets(browser) == {"SR-1"}
            write_keys(board.keys, KeyFile(keys=tuple(each.model_copy(update=change) for each in present)))
            assert await tickets(browser) == 303
            write_keys(board.keys, KeyFile(keys=tuple(present)))


async def test_signing_out_needs_the_sites_own_form(board: BoardPages) -> None:
    async with board.browser() as browser:
        await login(browser, board.key)
        for headers in (
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": ""},
            {"Origin": "http://localhost", "Sec-Fetch-Site": "cross-site"},
            {"Origin": "http://localhost", "Sec-Fetch-Site": "same-site"},
        ):
            assert (await browser.post("/logout", headers=headers)).status_code == 403
        assert await tickets(browser) == {"SR-1"}
        done = await browser.post("/logout")
        assert (done.status_code, done.headers["location"]) == (303, "/login")
        assert await tickets(browser) == 303


async def test_another_site_cannot_sign_a_person_in(board: BoardPages) -> None:
    async with board.browser() as browser:
        assert (await login(browser, board.key, Origin="https://evil.example")).status_code == 403
        assert await tickets(browser) == 303


@pytest.mark.parametrize(
    "path",
    [
        *("https://evil.example", "//evil.example", "/\\evil.example", "/\t/evil.example", "javascript:alert(1)", "x"),
        *("/ü", "/a b", "/\r\nSet-Cookie: a=b", "/a\\b", "\\\\evil.example", "/\x00", ""),
        *(
            "/live",
            "/live?after=1.2",
            "/v1/tickets",
            "/reports/../live",
            "/reports/..",
            "/login",
            "/metrics",
            "/ticketsx",
        ),
    ],
)
async def test_a_login_never_leads_to_another_site_or_away_from_the_pages(board: BoardPages, path: str) -> None:
    assert local_path(path) == "/"
    async with board.browser() as browser:
        assert (await login(browser, board.key, path)).headers["location"] == "/"


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/?customer=a%20b&severity=1", "/?wall=1#later", "/tickets/1f2179db", "/on-call"),
        *("/reports?month=2026-05", "/reports/2026-05?customer=x"),
    ],
)
def test_a_login_leads_to_the_page_that_was_asked_for(path: str) -> None:
    assert local_path(path) == path


def test_a_session_lasts_twelve_hours(monkeypatch: pytest.MonkeyPatch) -> None:
    signer = SessionSigner([SESSION_KEY])
    cookie = signer.sign("aB3dE6gH")
    assert signer.verify(cookie) == "aB3dE6gH"
    assert timedelta(hours=12) == SESSION_TIME
    later = datetime.now(UTC) + SESSION_TIME + timedelta(minutes=1)
    monkeypatch.setattr("itsdangerous.timed.time.time", later.timestamp)
    with pytest.raises(InvalidSessionError):
        signer.verify(cookie)


def test_session_keys_are_rotated_without_signing_anyone_out() -> None:
    old, new = "o" * 32, "n" * 32
    cookie = SessionSigner([old]).sign("aB3dE6gH")
    assert SessionSigner([new, old]).verify(cookie) == "aB3dE6gH"
    assert SessionSigner([new]).verify(SessionSigner([new, old]).sign("aB3dE6gH")) == "aB3dE6gH"
    with pytest.raises(InvalidSessionError):
        SessionSigner([new]).verify(cookie)


async def test_a_cookie_of_other_content_is_no_session(board: BoardPages) -> None:
    forged = [
        "",
        "x",
        URLSafeTimedSerializer(SESSION_KEY, salt="another salt").dumps(board.key.split("_")[1]),
        SessionSigner(["f" * 32]).sign(board.key.split("_")[1]),
        SessionSigner([SESSION_KEY]).sign("unknown1"),
        SessionSigner([SESSION_KEY]).sign(["list"]),  # type: ignore[arg-type]  # what the serializer can carry
    ]
    for cookie in forged:
        async with board.browser() as browser:
            assert await tickets(browser, Cookie=f"tocsin={cookie}") == 303, cookie


@pytest.mark.parametrize(
    ("groups", "found"),
    [
        ("desk-north", {"SR-1"}),
        ("desk-south", {"XX-1"}),
        ("staff, desk-south", {"XX-1"}),
        ("desk-south,desk-north", {"SR-1"}),
        ("staff", 403),
        ("", 403),
        ("desk", 403),
    ],
)
async def test_a_trusted_proxy_says_who_looks_and_the_groups_say_whose_tickets(
    board: BoardPages, groups: str, found: set[str] | int
) -> None:
    headers = {"X-Forwarded-User": "grace@example.com", "X-Forwarded-Groups": groups}
    async with board.browser(PROXY) as browser:
        assert await tickets(browser, **headers) == found
        if found != 403:
            assert "grace@example.com" in (await browser.get("/", headers=headers)).text


@pytest.mark.parametrize("address", ["10.21.0.5", "192.0.2.7", "::1", "127.0.0.1", "testclient"])
async def test_the_headers_of_any_other_address_are_ignored(board: BoardPages, address: str) -> None:
    headers = {"X-Forwarded-User": "grace", "X-Forwarded-Groups": "desk-north", "X-Forwarded-For": PROXY}
    async with board.browser(address) as browser:
        assert await tickets(browser, **headers) == 303


async def test_a_proxy_may_have_its_ipv4_address_inside_an_ipv6_one(board: BoardPages) -> None:
    async with board.browser(f"::ffff:{PROXY}") as browser:
        assert await tickets(browser, **{"X-Forwarded-User": "grace", "X-Forwarded-Groups": "desk-north"}) == {"SR-1"}


async def test_a_token_that_a_trusted_proxy_adds_is_not_taken_for_a_key(board: BoardPages) -> None:
    headers = {
        "X-Forwarded-User": "grace",
        "X-Forwarded-Groups": "desk-north",
        "Authorization": "Bearer eyJhbGciOi.x.y",
    }
    async with board.browser(PROXY) as browser:
        assert await tickets(browser, **headers) == {"SR-1"}


async def test_a_second_header_of_the_same_name_is_refused(board: BoardPages) -> None:
    sent = [("X-Forwarded-User", "grace"), ("X-Forwarded-Groups", "desk-north")]
    async with board.browser(PROXY) as browser:
        assert (await browser.get("/", headers=sent)).status_code == 200
        for second in (("X-Forwarded-User", "mallory"), ("X-Forwarded-Groups", "desk-south")):
            assert (await browser.get("/", headers=[second, *sent])).status_code == 403


async def test_through_a_proxy_without_a_user_a_session_counts(board: BoardPages) -> None:
    async with board.browser(PROXY) as browser:
        assert await tickets(browser) == 303
        await login(browser, board.new_key("other"))
        assert await tickets(browser) == {"XX-1"}
        assert await tickets(browser, **{"X-Forwarded-Groups": "desk-north"}) == {"XX-1"}


async def test_a_machine_reads_pages_with_its_key(board: BoardPages) -> None:
    async with board.browser() as browser:
        assert await tickets(browser, Authorization=f"Bearer {board.new_key('other')}") == {"XX-1"}
        assert await tickets(browser, Authorization=f"Bearer {board.new_key(scopes=(ADMIN,))}") == 403
        assert await tickets(browser, Authorization="Bearer wrong") == 401
        assert await tickets(browser, Authorization="Bearer") == 303


async def test_another_scheme_than_bearer_is_not_for_us(board: BoardPages) -> None:
    """A proxy with a password in front of the board sends it on."""
    async with board.browser() as browser:
        await login(browser, board.key)
        assert await tickets(browser, Authorization="Basic eDp5") == {"SR-1"}


async def test_a_session_counts_for_the_rate_limit_of_its_key_and_shows_that_it_is_used(tmp_path: Path) -> None:
    async with board_pages(tmp_path) as board, board.browser() as browser:
        limited = [each.model_copy(update={"requests_per_minute": 2}) for each in KeyRing(board.keys).keys]
        write_keys(board.keys, KeyFile(keys=tuple(limited)))
        await login(browser, board.key)
        board.app.state.keys.used.clear()
        assert [(await browser.get("/")).status_code for _ in range(3)] == [200, 200, 429]
        assert list(board.app.state.keys.used) == [board.key.split("_")[1]]


async def test_without_session_keys_nobody_signs_in_with_a_key(tmp_path: Path) -> None:
    async with board_pages(tmp_path, session_keys=()) as board, board.browser() as browser:
        assert "<input" not in (await browser.get("/login")).text
        assert (await login(browser, board.key)).status_code == 404
