"""A process that reports a wrong setting or file does not print the secrets in it."""

import os
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final
from urllib.parse import quote

import orjson
import pytest
from support.secret_search import find_secrets
from support.servers import service_role
from support.webhook_recordings import SHIPPED
from tocsin.runtime.http.api_keys import issue
from tocsin_local.layout import POLICY_FOLDER
from tocsin_local.loopback import free_port
from tocsin_local.postgres import Postgres

TOKEN: Final = "token-1f2e3d"
PASSWORD: Final = "database/pass+word&1"
MAIL_PASSWORD: Final = 'mail/pass+word"1&'
LINK_KEY: Final = "link/key+of=all&the links in mails"
SESSION_KEY: Final = "session/key+of=board"
HOOK_SECRET: Final = "hook/of+jira 7&=x"
SECONDS: Final = 60
JIRA: Final = "{ secret_env: TOCSIN_HOOK_JIRA }"


@pytest.mark.long
def test_no_error_message_at_start_contains_a_secret(postgres: Postgres, tmp_path: Path) -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    key, _ = issue("default")
    secrets = {"password": PASSWORD, "key": key.rpartition("_")[2], "calendar": TOKEN, "mail password": MAIL_PASSWORD}
    secrets |= {"link key": LINK_KEY[:20], "hook": HOOK_SECRET, "session key": SESSION_KEY}
    postgres.create_role(service_role("intake"))

    def database(address: str) -> str:
        return f"postgresql+asyncpg://intake:{quote(PASSWORD, safe='')}@{address}/intake"

    files = {
        "keys.yaml": "keys: []",
        "no-hashes.yaml": orjson.dumps({"keys": [{"id": key, "sha256": key, "tenant": "default"}]}).decode(),
        "no-yaml.yaml": f"keys: [{{ id: {key}\nkeys: {key}: {key}",
        "key.txt": key,
        "http.yaml": directory_with_calendar(f"http://localhost/{TOKEN}.ics"),
        "login.yaml": directory_with_calendar(f"https://ana:{TOKEN}@localhost/x.ics"),
        "closed.yaml": directory_with_calendar(f"https://{nowhere}/{TOKEN}.ics"),
        "literal.yaml": SHIPPED.read_text().replace(JIRA, f'{{ secret: "{HOOK_SECRET}" }}'),
        "text.yaml": SHIPPED.read_text().replace(JIRA, f'"{HOOK_SECRET}"'),
        "name.yaml": SHIPPED.read_text().replace(JIRA, f'{{ secret_env: "{HOOK_SECRET}" }}'),
    }
    for name, content in files.items():
        (tmp_path / name).write_text(content)
    runs: list[tuple[str, Mapping[str, str]]] = [
        ("intake migrate", {"TOCSIN_DATABASE_URL": database(nowhere)}),
        ("intake migrate", {"TOCSIN_DATABASE_URL": database(f"127.0.0.1:{postgres.port}")}),
        ("intake migrate", {"TOCSIN_DATABASE_URL": database("[::1")}),
        ("intake migrate", {"TOCSIN_DATABASE_URL": database(nowhere).replace("+asyncpg", "")}),
        ("intake", {"TOCSIN_ACK_KEYS": f"{LINK_KEY},{LINK_KEY[:20]}"}),
        ("intake", {"TOCSIN_PORT": PASSWORD, "TOCSIN_KAFKA": f"user:{PASSWORD}@kafka"}),
        ("intake", {"TOCSIN_DATABASE_URL": "", "TOCSIN_DATABASE_URL_FILE": str(tmp_path / "key.txt")}),
        ("intake keys list", {"TOCSIN_KEYS": str(tmp_path / "no-hashes.yaml")}),
        ("intake keys list", {"TOCSIN_KEYS": str(tmp_path / "no-yaml.yaml")}),
        ("board", {"TOCSIN_BOARD_SESSION_KEYS": SESSION_KEY}),
        ("board", {"TOCSIN_UPSTREAM_KEYS": f'{{"default": "{key}"'}),
        ("board", {"TOCSIN_UPSTREAM_KEYS": f'["{key}"]'}),
        ("board", {"TOCSIN_UPSTREAM_KEYS": key}),
        ("board report --month 2026-05", {"TOCSIN_SLA_TIMER_URL": f"http://{nowhere}"}),
        ("notifier", {"TOCSIN_SMTP_PASSWORD": MAIL_PASSWORD}),
        ("notifier", {"TOCSIN_SMTP": f"tocsin:{MAIL_PASSWORD}@mail"}),
        *(("intake hooks check", integrations(tmp_path / f"{name}.yaml")) for name in ("literal", "text", "name")),
        *(("notifier directory check", directory(tmp_path / f"{name}.yaml")) for name in ("http", "login", "closed")),
    ]
    settings = {
        "TOCSIN_LOG_LEVEL": "debug",
        "TOCSIN_DATABASE_URL": database(nowhere),
        "TOCSIN_KAFKA": nowhere,
        "TOCSIN_KEYS": str(tmp_path / "keys.yaml"),
        "TOCSIN_POLICY": str(POLICY_FOLDER / "policy.yaml"),
        "TOCSIN_DIRECTORY": str(POLICY_FOLDER / "directory.yaml"),
        "TOCSIN_ACK_KEYS": LINK_KEY,
        "TOCSIN_SMTP": nowhere,
        "TOCSIN_MAIL_FROM": "tocsin@example.org",
        "TOCSIN_PUBLIC_URL": "https://sla.example.org",
        "TOCSIN_UPSTREAM_KEYS": orjson.dumps({"default": key}).decode(),
    }
    with ThreadPoolExecutor(2) as pool:
        outputs = list(pool.map(lambda run: output_of_failure(run[0], os.environ | settings | run[1]), runs))
        outputs += pool.map(
            lambda package: output_of_wait(package, os.environ | settings), ("intake", "notifier", "board")
        )
    assert not find_secrets(secrets, outputs)
    assert all(output for _, output in outputs), "a command printed nothing"


def integrations(file: Path) -> Mapping[str, str]:
    return {"TOCSIN_INTEGRATIONS": str(file)}


def directory(file: Path) -> Mapping[str, str]:
    return {"TOCSIN_DIRECTORY": str(file)}


def directory_with_calendar(url: str) -> str:
    return orjson.dumps(
        {
            "people": {"ana": {"name": "Ana", "email": "ana@example.com"}},
            "rotations": {"fed": {"zone": "UTC", "calendar": {"url": url}}},
            "roles": {"service_desk_team_lead": [{"rotation": "fed"}]},
        }
    ).decode()


def output_of_failure(command: str, environment: Mapping[str, str]) -> tuple[str, bytes]:
    """The command and its output. It must fail, or report a problem."""
    done = subprocess.run(
        (sys.executable, "-m", *command.split()),
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode, done.stdout.decode()
    return command, done.stdout


def output_of_wait(package: str, environment: Mapping[str, str]) -> tuple[str, bytes]:
    """The service and its output while it waits for a database that does not exist."""
    with subprocess.Popen(
        (sys.executable, "-m", package), env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        assert process.stdout is not None
        lines: list[bytes] = []
        while b"waiting_for_database" not in b"".join(lines[-1:]):
            lines.append(process.stdout.readline())
            assert lines[-1], b"".join(lines).decode()
        process.terminate()
        rest, _ = process.communicate(timeout=SECONDS)
    return package, b"".join(lines) + rest
