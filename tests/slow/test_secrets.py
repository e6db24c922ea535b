"""No secret is ever told: every kind of them, used rightly and wrongly wherever a caller or an operator might put it.

A stack of its own with everything logged. Then what every process logged, what was answered, and what the databases
keep is searched for each secret.
"""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import asyncpg
import httpx
import orjson
import pytest
from ruamel.yaml import YAML
from sqlalchemy.engine import make_url
from support.calendar_feed import TOKEN, serve_feed
from support.polling import eventually
from support.secret_search import find_secrets
from support.servers import SERVICES, log_line, suspended
from support.tls_smtp_sink import secured_sink
from support.webhook_recordings import PROVIDERS, SHIPPED, proven, story
from tocsin.acknowledgement import LinkSigner
from tocsin.runtime.http.api_keys import TICKETS_READ, add_key, edit_keys, issue
from tocsin_local.paths import POLICY_FOLDER
from tocsin_local.processes import free_offset
from tocsin_local.stack import Plan, Stack

AT_ONCE: Final = 32
HOOKS: Final = {provider: f"hook/of+{provider} 7&=x" for provider in PROVIDERS} | {"email": "hook+of/email-9=c"}
MAIL_PASSWORD: Final = 'mail/pass+word"1&'
LINK_KEY: Final = "link/key+of=all&the links in mails"
TICKET: Final = {
    "source": "connectwise",
    "external_id": "SR-1",
    "severity": 1,
    "summary": "Mail is down",
    "affected_services": ["Email"],
    "contact": {"name": "Ada", "email": "ada@acme.example"},
    "customer": {"id": "acme", "name": "Acme"},
    "opened_at": "2026-01-05T12:00:00Z",
}
MAIL: Final = (
    b"From: Ada <ada@acme.example>\r\nTo: Support@betterworldtech.com\r\nSubject: Printer\r\n"
    b"Message-ID: <1@acme.example>\r\n\r\nIt is broken.\r\n"
)


@dataclass
class House:
    """A running stack, every secret of it by a name, and all that was answered so far, by what was asked."""

    stack: Stack
    http: httpx.AsyncClient
    secrets: dict[str, str]
    links: list[str] = field(default_factory=list)
    answers: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.urls: Mapping[str, str] = self.stack.run["urls"]
        self.key: str = self.stack.run["api_key"]
        self._places = asyncio.Semaphore(AT_ONCE)

    async def asks(self, method: str, url: str, **how: Any) -> httpx.Response | None:
        """The answer, which is kept; None where there was none."""
        async with self._places:
            try:
                answer = await self.http.request(method, url, **how)
            except httpx.HTTPError:
                return None
        heads = b"\n".join(name + b": " + value for name, value in answer.headers.raw)
        self.answers.append((f"the answer to {method} {url} {how}", heads + b"\n\n" + answer.content))
        self.statuses.add(answer.status_code)
        return answer

    async def says(self, service: str, request: bytes) -> None:
        """Bytes on a connection that is closed then; what comes back is kept."""
        url = httpx.URL(self.urls[service])
        async with self._places:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(request)
            writer.write_eof()
            answer = await reader.read()
            writer.close()
        self.answers.append((f"the answer to {request[:200]!r}", answer))

    async def is_used_everywhere(self, service: str, secret: str) -> None:
        """Somebody puts the secret wherever a request has room for one."""
        url, text = self.urls[service], secret.encode("ascii", "ignore").decode()
        lists = f"{url}/v1/dead-letters"
        own = {"Authorization": f"Bearer {self.key}"}
        headers = (
            {"Authorization": f"Bearer {text}"},
            {"Authorization": text},
            {"Authorization": f"Token token={text}"},
            {"X-Api-Key": text, "Cookie": f"key={text}", "Referer": f"{url}/?key={text}"},
        )
        parameters = dict.fromkeys(("key", "limit", "cursor", "from", "ticket_id", "severity"), secret)
        bodies = (
            orjson.dumps({"api_key": secret, "severity": secret, "facts": secret, "until": secret}),
            orjson.dumps({"tickets": [{"source": secret, "severity": secret, "opened_at": secret}]}),
            orjson.dumps(secret)[:-1],
            f'{{"severity": 1, "severity": "{text}", "x": 1e999999}}'.encode(),
        )
        posts = ("/v1/tickets", "/v1/tickets/batch", "/v1/simulate", "/v1/hooks/jira/default")
        escaped = quote(secret, safe="")
        json = own | {"Content-Type": "application/json"}
        await asyncio.gather(
            *(self.asks("GET", lists, headers=each) for each in headers),
            self.asks("GET", lists, auth=(secret, secret)),
            self.asks("GET", lists, params=parameters, headers=own),
            self.asks("GET", f"{url}/v1/tickets", params=parameters, headers=own),
            *(
                self.asks("GET", f"{url}{path}", headers=own)
                for path in (f"/{escaped}", f"/v1/tickets/{escaped}", f"/ack/{escaped}", f"/v1/deliveries/{escaped}")
            ),
            self.asks("POST", f"{url}/v1/dead-letters/{escaped}/replay", headers=own),
            self.asks("POST", f"{url}/v1/hooks/{escaped}/{escaped}", content=b"{}"),
            *(self.asks("POST", f"{url}{path}", content=body, headers=json) for path in posts for body in bodies),
            self.asks("POST", f"{url}/v1/tickets", content=b"{}", headers=own | {"Content-Type": text}),
            self.says(service, f"GET /{escaped} HTTP/1.1\r\nHost: x\r\n{escaped}\r\n\r\n".encode()),
            self.says(service, f"POST /v1/tickets HTTP/1.1\r\nHost: x\r\nX-{'x' * 40000}: {text}\r\n\r\n".encode()),
            self.says(
                service,
                f"POST /v1/tickets?key={escaped} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
                f'Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{{"api_key": "{text}"'.encode(),
            ),
        )

    async def delivers(self, provider: str, number: int) -> None:
        """A tool's webhook: proven, and by a proof that is of another body, cut, doubled, or in the wrong place."""
        url = f"{self.urls['intake']}/v1/hooks/{provider}/default"
        body = story(provider)[number % len(story(provider))]
        right = dict(proven(provider, body, HOOKS[provider].encode()))
        text = next(value for name, value in right.items() if "timestamp" not in name)
        self.secrets[f"a proof of {provider} ({len(self.secrets)})"] = text.rpartition(" ")[2]
        elsewhere = {"X-Signature": text, "Authorization": f"Bearer {text}"}
        cut = {name: value[:-5] for name, value in right.items()}
        await asyncio.gather(
            self.asks("POST", url, content=body, headers=right),
            self.asks("POST", url, content=body + b" ", headers=right),
            self.asks("POST", url, content=body, headers=cut),
            self.asks("POST", url, content=body, headers=[*right.items(), *right.items()]),
            self.asks("POST", url, content=body, headers=elsewhere, params={"signature": text}),
            self.asks("POST", url, content=orjson.dumps({"secret": HOOKS[provider], "signature": text})),
        )

    async def mails(self, number: int) -> None:
        url, raw = f"{self.urls['intake']}/v1/hooks/email/default", MAIL.replace(b"<1@", f"<{number}@".encode())
        for secret in (HOOKS["email"], HOOKS["email"][:-4]):
            await self.asks("POST", url, content=raw, headers={"Authorization": f"Bearer {secret}"})

    def issues(self) -> None:
        """Keys of every kind; of each, what nobody but its holder knows."""
        file = self.stack.state.keys_file
        past = datetime.now(UTC) - timedelta(days=1)
        reading, reading_entry = issue("default", (TICKETS_READ,))
        expired, expired_entry = issue("default", (), past)
        revoked, revoked_entry = issue("default")
        for entry in (reading_entry, expired_entry, revoked_entry):
            add_key(file, entry)
        edit_keys(file, lambda keys: [key for key in keys if key.id != revoked_entry.id])
        self.keys = (self.key, reading, expired, revoked, issue("default")[0], self.key[:-6])
        for number, key in enumerate(self.keys):
            self.secrets[f"key {number}"] = key.rpartition("_")[2][:30]

    async def is_mailed_links(self) -> None:
        """A link as mailed, one that has expired, and one that was cut on its way."""
        sent = await eventually(self._link, "a mail with a link")
        links = LinkSigner([LINK_KEY])
        stood_for = links.verify(sent, datetime.min.replace(tzinfo=UTC))
        expired = links.sign(stood_for.model_copy(update={"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}))
        self.links = [sent, expired, sent[:-4]]
        for number, token in enumerate(self.links):
            self.secrets[f"link {number}"] = token.rpartition(".")[2]

    async def _link(self) -> str | None:
        mails = (await self.http.get(f"{self.urls['inbox']}/messages")).json()
        return next((found[1] for mail in mails if (found := re.search(r"/ack/([\w.-]+)", mail["text"]))), None)

    async def follows(self, token: str) -> None:
        """A link of a mail, as it is and as phones and scanners garble it."""
        url = self.urls["intake"]
        for method, path in (("GET", token), ("POST", token), ("PUT", token), ("GET", f"{token}/x"), ("POST", token)):
            await self.asks(method, f"{url}/ack/{path}", headers={"Accept": "text/html" if method == "GET" else "*/*"})
        await self.asks("GET", f"{url}/ack", params={"token": token}, headers={"Authorization": f"Bearer {token}"})

    async def goes_on(self, number: int) -> None:
        """What everybody does all day, whatever is broken meanwhile."""
        own, intake = {"Authorization": f"Bearer {self.key}"}, self.urls["intake"]
        ticket = TICKET | {"external_id": f"SR-{number}"}
        lists = {"sla-timer": "compliance?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", "intake": "tickets"}
        lists |= {"escalator": "escalations", "notifier": "deliveries"}
        await asyncio.gather(
            self.asks("POST", f"{intake}/v1/tickets", json=ticket, headers=own),
            self.asks(
                "POST",
                f"{intake}/v1/tickets/batch",
                json={"tickets": [ticket | {"external_id": f"SR-{number}-2"}]},
                headers=own,
            ),
            *(self.delivers(provider, number) for provider in PROVIDERS),
            self.mails(number),
            *(self.follows(token) for token in self.links),
            *(
                self.asks("GET", f"{self.urls[service]}/{path}", headers=own)
                for service in SERVICES
                for path in ("readyz", "metrics", "v1/keys", "v1/dead-letters", f"v1/{lists[service]}")
            ),
        )


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    for name in ("feed", "mail"):
        (tmp_path / name).mkdir()
    with serve_feed(tmp_path / "feed") as feed, mailing(tmp_path / "mail") as mail:
        settings = {
            **{f"TOCSIN_HOOK_{tool.upper()}": secret for tool, secret in HOOKS.items()},
            **mail,
            "TOCSIN_LOG_LEVEL": "debug",
            "TOCSIN_ACK_KEYS": LINK_KEY,
            "SSL_CERT_FILE": str(feed.ca),
        }
        plan = Plan(
            state=tmp_path / "state",
            port_offset=free_offset(),
            durable=False,
            directory=directory(tmp_path / "directory.yaml", feed.url),
            integrations=integrations(tmp_path / "integrations.yaml"),
            settings=settings,
        )
        async with started(plan) as made:
            feed.response = (500, f"{TOKEN} is not known".encode(), {})
            yield made


@asynccontextmanager
async def started(plan: Plan) -> AsyncIterator[House]:
    stack = Stack(plan, log_line)
    with stack.state.held():
        try:
            await asyncio.to_thread(stack.start)
            secrets = dict(HOOKS) | {"mail password": MAIL_PASSWORD, "link key": LINK_KEY, "calendar": TOKEN}
            for service, url in stack.run["databases"].items():
                secrets[f"{service}'s database"] = str(make_url(url).password)
            async with httpx.AsyncClient(timeout=12) as http:
                yield House(stack, http, secrets)
        finally:
            await asyncio.to_thread(stack.stop)
            stack.postgres.remove()


@contextmanager
def mailing(folder: Path) -> Iterator[Mapping[str, str]]:
    """The settings of a mail server that refuses the password."""
    with secured_sink(folder) as (sink, given):
        yield {
            "TOCSIN_SMTP_SECOND": sink.address,
            "TOCSIN_SMTP_SECOND_TLS": given["smtp_tls"],
            "TOCSIN_SMTP_SECOND_CA": str(given["smtp_ca"]),
            "TOCSIN_SMTP_SECOND_USERNAME": given["smtp_username"],
            "TOCSIN_SMTP_SECOND_PASSWORD": MAIL_PASSWORD,
        }


def directory(file: Path, feed: str) -> Path:
    """As shipped, with a rotation out of a calendar."""
    written = YAML(typ="safe").load((POLICY_FOLDER / "directory.yaml").read_text())
    written["people"]["ana"] = {"name": "Ana", "email": "ana@example.com"}
    written["rotations"] = {"fed": {"zone": "UTC", "calendar": {"url": feed}}}
    written["roles"]["service_desk_team_lead"].append({"rotation": "fed", "customer": "globex"})
    file.write_bytes(orjson.dumps(written))
    return file


def integrations(file: Path) -> Path:
    auth = "{ secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }"
    file.write_text(f"{SHIPPED.read_text()}\nemail:\n  default: {{ auth: {auth}, severity: 3, services: [Other] }}\n")
    return file


@pytest.mark.long
async def test_no_process_and_no_database_tells_one(house: House) -> None:
    stack = house.stack
    house.issues()
    await house.goes_on(1)
    await house.is_mailed_links()
    await house.goes_on(2)
    for service in SERVICES:
        await asyncio.gather(*(house.is_used_everywhere(service, key) for key in (house.key, house.keys[3])))
    for secret in (*house.keys, *house.links, *HOOKS.values(), LINK_KEY, MAIL_PASSWORD):
        await house.is_used_everywhere("intake", secret)
    await asyncio.to_thread(stack.kill_part, "kafka")
    await house.goes_on(3)
    with suspended(stack.run["pids"]["postgres"]):
        await house.goes_on(4)
    await asyncio.to_thread(stack.kill_part, "postgres")
    await house.goes_on(5)
    for part in ("postgres", "kafka"):
        await asyncio.to_thread(stack.start_part, part)
    await refuse_everything(stack.run["databases"]["intake"])
    await house.goes_on(6)
    assert house.statuses >= {200, 201, 400, 401, 403, 404, 405, 410, 415, 422, 500, 503}
    kept = [(f"{service}'s {table}", rows) for service in SERVICES for table, rows in await kept_in(stack, service)]
    mails = await house.http.get(f"{house.urls['inbox']}/messages")
    await asyncio.to_thread(stack.stop)
    logged = [(path.name, path.read_bytes()) for path in sorted(stack.state.logs.iterdir())]
    assert {name for name, _ in logged} >= {f"{part}.log" for part in (*SERVICES, "postgres", "kafka", "smtp")}
    assert b'"level":"debug"' in dict(logged)["sla-timer.log"]
    assert b"mail_login_refused" in dict(logged)["notifier.log"]
    assert b"request_failed" in dict(logged)["intake.log"]
    assert not find_secrets(house.secrets, [*house.answers, *logged, *kept])
    in_mails = {name: secret for name, secret in house.secrets.items() if not name.startswith("link ")}
    assert not find_secrets(in_mails, [("the mails", mails.content)])


async def refuse_everything(database: str) -> None:
    """Whatever is written from now on is against a rule: a fault of ours, told by PostgreSQL with the row."""
    connection = await connected(database)
    for table in ("tickets", "facts", "webhook_deliveries", "inbound_mails"):
        await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT nothing CHECK (false) NOT VALID")
    await connection.close()


async def kept_in(stack: Stack, service: str) -> list[tuple[str, bytes]]:
    """Every table of the service's database, and all that stands in it."""
    connection = await connected(stack.run["databases"][service])
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for (table,) in tables:
        rows = await connection.fetch(f'SELECT * FROM "{table}"')
        cells = (cell for row in rows for cell in row.values())
        found.append((table, b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)))
    await connection.close()
    return found


async def connected(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url.replace("+asyncpg", ""))
