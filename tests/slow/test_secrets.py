"""No secret appears in a log, a response or a database, wherever a caller or an operator puts it.

Uses every kind of secret rightly and wrongly on a stack that logs everything, while its servers fail. Then searches the
logs of all processes, all responses and all databases for each secret.
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
from support.servers import log_line, suspended
from support.tls_smtp_sink import secured_sink
from support.webhook_recordings import PROVIDERS, SHIPPED, auth_headers, story
from tocsin.acknowledgement import LinkSigner
from tocsin.runtime.http.api_keys import TICKETS_READ, add_key, edit_keys, issue
from tocsin_local.layout import POLICY_FOLDER
from tocsin_local.loopback import free_port_offset
from tocsin_local.services import BOARD, PACKAGES, PIPELINE
from tocsin_local.stack import Stack, StackOptions

MAX_CONCURRENT: Final = 32
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
class AuditedStack:
    """A running stack, its secrets by name, and all responses so far with the requests they answer."""

    stack: Stack
    http: httpx.AsyncClient
    secrets: dict[str, str]
    links: list[str] = field(default_factory=list)
    responses: list[tuple[str, bytes]] = field(default_factory=list)
    statuses: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.urls: Mapping[str, str] = self.stack.run["urls"]
        self.key: str = self.stack.run["api_key"]
        self._slots = asyncio.Semaphore(MAX_CONCURRENT)

    async def request(self, method: str, url: str, **options: Any) -> None:
        """Sends a request and keeps the response, if there is one."""
        async with self._slots:
            try:
                response = await self.http.request(method, url, **options)
            except httpx.HTTPError:
                return
        headers = b"\n".join(name + b": " + value for name, value in response.headers.raw)
        self.responses.append((f"the response to {method} {url} {options}", headers + b"\n\n" + response.content))
        self.statuses.add(response.status_code)

    async def send_raw(self, service: str, request: bytes) -> None:
        """Sends bytes, half-closes the connection, and keeps what comes back."""
        url = httpx.URL(self.urls[service])
        async with self._slots:
            reader, writer = await asyncio.open_connection(url.host, url.port)
            writer.write(request)
            writer.write_eof()
            response = await reader.read()
            writer.close()
        self.responses.append((f"the response to {request[:200]!r}", response))

    async def send_everywhere(self, service: str, secret: str) -> None:
        """Puts the secret into every place of a request: headers, parameters, paths, bodies, broken HTTP."""
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
            *(self.request("GET", lists, headers=each) for each in headers),
            self.request("GET", lists, auth=(secret, secret)),
            self.request("GET", lists, params=parameters, headers=own),
            self.request("GET", f"{url}/v1/tickets", params=parameters, headers=own),
            *(
                self.request("GET", f"{url}{path}", headers=own)
                for path in (f"/{escaped}", f"/v1/tickets/{escaped}", f"/ack/{escaped}", f"/v1/deliveries/{escaped}")
            ),
            self.request("POST", f"{url}/v1/dead-letters/{escaped}/replay", headers=own),
            self.request("POST", f"{url}/v1/hooks/{escaped}/{escaped}", content=b"{}"),
            *(self.request("POST", f"{url}{path}", content=body, headers=json) for path in posts for body in bodies),
            self.request("POST", f"{url}/v1/tickets", content=b"{}", headers=own | {"Content-Type": text}),
            self.send_raw(service, f"GET /{escaped} HTTP/1.1\r\nHost: x\r\n{escaped}\r\n\r\n".encode()),
            self.send_raw(service, f"POST /v1/tickets HTTP/1.1\r\nHost: x\r\nX-{'x' * 40000}: {text}\r\n\r\n".encode()),
            self.send_raw(
                service,
                f"POST /v1/tickets?key={escaped} HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {self.key}\r\n"
                f'Content-Type: application/json\r\nContent-Length: 999\r\n\r\n{{"api_key": "{text}"'.encode(),
            ),
        )

    async def deliver_webhook(self, provider: str, number: int) -> None:
        """A webhook with its signature, and with one that is of another body, cut, repeated, or in the wrong place."""
        url = f"{self.urls['intake']}/v1/hooks/{provider}/default"
        body = story(provider)[number % len(story(provider))]
        headers = dict(auth_headers(provider, body, HOOKS[provider].encode()))
        signature = next(value for name, value in headers.items() if "timestamp" not in name)
        self.secrets[f"signature of {provider} ({len(self.secrets)})"] = signature.rpartition(" ")[2]
        elsewhere = {"X-Signature": signature, "Authorization": f"Bearer {signature}"}
        cut = {name: value[:-5] for name, value in headers.items()}
        await asyncio.gather(
            self.request("POST", url, content=body, headers=headers),
            self.request("POST", url, content=body + b" ", headers=headers),
            self.request("POST", url, content=body, headers=cut),
            self.request("POST", url, content=body, headers=[*headers.items(), *headers.items()]),
            self.request("POST", url, content=body, headers=elsewhere, params={"signature": signature}),
            self.request("POST", url, content=orjson.dumps({"secret": HOOKS[provider], "signature": signature})),
        )

    async def deliver_mail(self, number: int) -> None:
        """A mail with its secret, and with half of it."""
        url, raw = f"{self.urls['intake']}/v1/hooks/email/default", MAIL.replace(b"<1@", f"<{number}@".encode())
        for secret in (HOOKS["email"], HOOKS["email"][:-4]):
            await self.request("POST", url, content=raw, headers={"Authorization": f"Bearer {secret}"})

    def issue_keys(self) -> None:
        """Keys of every kind. The secret of each is the part that is stored nowhere."""
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

    async def collect_links(self) -> None:
        """A link from a mail, an expired one, and a truncated one."""
        sent = await eventually(self._mailed_link, "a mail with a link")
        signer = LinkSigner([LINK_KEY])
        link = signer.verify(sent, datetime.min.replace(tzinfo=UTC))
        expired = signer.sign(link.model_copy(update={"expires_at": datetime(2026, 1, 1, tzinfo=UTC)}))
        self.links = [sent, expired, sent[:-4]]
        for number, token in enumerate(self.links):
            self.secrets[f"link {number}"] = token.rpartition(".")[2]

    async def _mailed_link(self) -> str | None:
        mails = (await self.http.get(f"{self.urls['inbox']}/messages")).json()
        return next((found[1] for mail in mails if (found := re.search(r"/ack/([\w.-]+)", mail["text"]))), None)

    async def follow_link(self, token: str) -> None:
        """A link from a mail, as it is and as phones and scanners garble it."""
        url = self.urls["intake"]
        for method, path in (("GET", token), ("POST", token), ("PUT", token), ("GET", f"{token}/x"), ("POST", token)):
            await self.request(
                method, f"{url}/ack/{path}", headers={"Accept": "text/html" if method == "GET" else "*/*"}
            )
        await self.request("GET", f"{url}/ack", params={"token": token}, headers={"Authorization": f"Bearer {token}"})

    async def read_pages(self, key: str) -> None:
        """Signs in to the board with this key, and reads pages with and without the session."""
        board = self.urls[BOARD]
        form = {"key": key, "next": "/on-call"}
        await self.request("POST", f"{board}/login", data=form, headers={"Origin": board})
        await self.request("POST", f"{board}/login", data=form, headers={"Origin": "https://elsewhere.example"})
        for path in ("/", "/on-call", "/reports/2026-01", "/login", "/live?after=no"):
            await self.request("GET", f"{board}{path}", headers={"Authorization": f"Bearer {key}"})
            await self.request("GET", f"{board}{path}")
        self.http.cookies.clear()

    async def use_everything(self, number: int) -> None:
        """One round of ordinary use: tickets, webhooks, mails, links, lists."""
        own, intake = {"Authorization": f"Bearer {self.key}"}, self.urls["intake"]
        ticket = TICKET | {"external_id": f"SR-{number}"}
        lists = {"sla-timer": "compliance?from=2026-01-01T00:00:00Z&to=2026-02-01T00:00:00Z", "intake": "tickets"}
        lists |= {"escalator": "escalations", "notifier": "deliveries", BOARD: "at-risk"}
        await asyncio.gather(
            self.request("POST", f"{intake}/v1/tickets", json=ticket, headers=own),
            self.request(
                "POST",
                f"{intake}/v1/tickets/batch",
                json={"tickets": [ticket | {"external_id": f"SR-{number}-2"}]},
                headers=own,
            ),
            *(self.deliver_webhook(provider, number) for provider in PROVIDERS),
            self.deliver_mail(number),
            *(self.read_pages(key) for key in (self.key, *self.keys)),
            *(self.follow_link(token) for token in self.links),
            *(
                self.request("GET", f"{self.urls[service]}/{path}", headers=own)
                for service in PACKAGES
                for path in ("readyz", "metrics", "v1/keys", "v1/dead-letters", f"v1/{lists[service]}")
            ),
        )


@pytest.fixture
async def audited(tmp_path: Path) -> AsyncIterator[AuditedStack]:
    for name in ("feed", "mail"):
        (tmp_path / name).mkdir()
    with serve_feed(tmp_path / "feed") as feed, smtp_settings(tmp_path / "mail") as mail:
        settings = {
            **{f"TOCSIN_HOOK_{tool.upper()}": secret for tool, secret in HOOKS.items()},
            **mail,
            "TOCSIN_LOG_LEVEL": "debug",
            "TOCSIN_ACK_KEYS": LINK_KEY,
            "SSL_CERT_FILE": str(feed.ca),
            "TOCSIN_CALENDAR_NETWORKS": "127.0.0.0/8,::1/128",
        }
        options = StackOptions(
            state=tmp_path / "state",
            port_offset=free_port_offset(),
            durable=False,
            directory=write_directory(tmp_path / "directory.yaml", feed.url),
            integrations=write_integrations(tmp_path / "integrations.yaml"),
            services=(*PIPELINE, BOARD),
            settings=settings,
        )
        async with start(options) as stack:
            feed.response = (500, f"{TOKEN} is not known".encode(), {})
            yield stack


@asynccontextmanager
async def start(options: StackOptions) -> AsyncIterator[AuditedStack]:
    stack = Stack(options, log_line)
    try:
        with stack.running():
            secrets = dict(HOOKS) | {"mail password": MAIL_PASSWORD, "link key": LINK_KEY, "calendar": TOKEN}
            secrets["session key"] = stack.state.session_key()
            for service, url in stack.run["databases"].items():
                secrets[f"{service}'s database"] = str(make_url(url).password)
            async with httpx.AsyncClient(timeout=12) as http:
                yield AuditedStack(stack, http, secrets)
    finally:
        stack.postgres.remove()


@contextmanager
def smtp_settings(folder: Path) -> Iterator[Mapping[str, str]]:
    """The notifier's settings for an SMTP server that refuses the password."""
    with secured_sink(folder) as (sink, given):
        yield {
            "TOCSIN_SMTP_SECOND": sink.address,
            "TOCSIN_SMTP_SECOND_TLS": given["smtp_tls"],
            "TOCSIN_SMTP_SECOND_CA": str(given["smtp_ca"]),
            "TOCSIN_SMTP_SECOND_USERNAME": given["smtp_username"],
            "TOCSIN_SMTP_SECOND_PASSWORD": MAIL_PASSWORD,
        }


def write_directory(file: Path, feed: str) -> Path:
    """The shipped directory, with a rotation from a calendar."""
    content = YAML(typ="safe").load((POLICY_FOLDER / "directory.yaml").read_text())
    content["people"]["ana"] = {"name": "Ana", "email": "ana@example.com"}
    content["rotations"] = {"fed": {"zone": "UTC", "calendar": {"url": feed}}}
    content["roles"]["service_desk_team_lead"].append({"rotation": "fed", "customer": "globex"})
    file.write_bytes(orjson.dumps(content))
    return file


def write_integrations(file: Path) -> Path:
    """The shipped integrations, with a mailbox."""
    auth = "{ secrets: [{ secret_env: TOCSIN_HOOK_EMAIL }] }"
    file.write_text(f"{SHIPPED.read_text()}\nemail:\n  default: {{ auth: {auth}, severity: 3, services: [Other] }}\n")
    return file


@pytest.mark.long
async def test_no_log_response_or_database_contains_a_secret(audited: AuditedStack) -> None:
    stack = audited.stack
    audited.issue_keys()
    await audited.use_everything(1)
    await audited.collect_links()
    await audited.use_everything(2)
    for service in PACKAGES:
        await asyncio.gather(*(audited.send_everywhere(service, key) for key in (audited.key, audited.keys[3])))
    for secret in (*audited.keys, *audited.links, *HOOKS.values(), LINK_KEY, MAIL_PASSWORD):
        await audited.send_everywhere("intake", secret)
    await asyncio.to_thread(stack.parts.kill, "kafka")
    await audited.use_everything(3)
    with suspended(stack.run["pids"]["postgres"]):
        await audited.use_everything(4)
    await asyncio.to_thread(stack.parts.kill, "postgres")
    await audited.use_everything(5)
    for part in ("postgres", "kafka"):
        await asyncio.to_thread(stack.parts.start, part)
    await reject_all_writes(stack.run["databases"]["intake"])
    await audited.use_everything(6)
    assert audited.statuses >= {200, 201, 400, 401, 403, 404, 405, 410, 415, 422, 500, 503}
    stored = [
        (f"{service}'s {table}", rows) for service in PACKAGES for table, rows in await dump_tables(stack, service)
    ]
    mails = await audited.http.get(f"{audited.urls['inbox']}/messages")
    await asyncio.gather(*(asyncio.to_thread(stack.parts.stop, part) for part in stack.parts.names()))
    logged = [(path.name, path.read_bytes()) for path in sorted(stack.state.logs.iterdir())]
    assert {name for name, _ in logged} >= {f"{part}.log" for part in (*PACKAGES, "postgres", "kafka", "smtp")}
    assert b'"level":"debug"' in dict(logged)["sla-timer.log"]
    assert b"mail_login_refused" in dict(logged)["notifier.log"]
    assert b"request_failed" in dict(logged)["intake.log"]
    assert not find_secrets(audited.secrets, [*audited.responses, *logged, *stored])
    links = {name: secret for name, secret in audited.secrets.items() if name.startswith("link ")}
    others = {name: secret for name, secret in audited.secrets.items() if name not in links}
    assert find_secrets(links, [("the mails", mails.content)]), "the search finds what is there"
    assert not find_secrets(others, [("the mails", mails.content)])


async def reject_all_writes(database: str) -> None:
    """Makes every INSERT violate a constraint, which PostgreSQL reports with the row."""
    connection = await connect(database)
    for table in ("tickets", "facts", "webhook_deliveries", "inbound_mails"):
        await connection.execute(f"ALTER TABLE {table} ADD CONSTRAINT nothing CHECK (false) NOT VALID")
    await connection.close()


async def dump_tables(stack: Stack, service: str) -> list[tuple[str, bytes]]:
    """The name and the content of every table of the service's database."""
    connection = await connect(stack.run["databases"][service])
    tables = await connection.fetch("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    found = []
    for (table,) in tables:
        rows = await connection.fetch(f'SELECT * FROM "{table}"')
        cells = (cell for row in rows for cell in row.values())
        found.append((table, b"\n".join(cell if isinstance(cell, bytes) else str(cell).encode() for cell in cells)))
    await connection.close()
    return found


async def connect(url: str) -> asyncpg.Connection:
    return await asyncpg.connect(url.replace("+asyncpg", ""))
