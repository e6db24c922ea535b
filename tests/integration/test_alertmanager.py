"""deploy/docker/alertmanager.sh: a configuration from variables, which a real Alertmanager uses to send a mail."""

import os
import shutil
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from support.polling import eventually
from support.prometheus import EVERY_SECOND
from support.servers import SharedSink, running
from tocsin_local.layout import REPOSITORY
from tocsin_local.loopback import free_port
from tocsin_local.monitoring import Alertmanager, Prometheus, find_program

SCRIPT = REPOSITORY / "deploy/docker/alertmanager.sh"
MAIL = {
    "TOCSIN_ALERT_EMAIL": "ada@example.org, o'hara@example.org",
    "TOCSIN_ALERT_FROM": "tocsin@example.org",
    "TOCSIN_ALERT_SMTP": "mail.example.org:587",
    "TOCSIN_ALERT_SMTP_TLS": "starttls",
}


def written(folder: Path, variables: Mapping[str, str]) -> tuple[Path, str]:
    """The configuration that the script starts Alertmanager with, and what it says on standard error."""
    programs = folder / "programs"
    programs.mkdir(exist_ok=True)
    (programs / "alertmanager").write_text("#!/bin/sh\necho $@\n")
    (programs / "alertmanager").chmod(0o755)
    target = folder / "alertmanager.yaml"
    environment = {"PATH": f"{programs}:{os.environ['PATH']}", **variables}
    done = subprocess.run(["sh", SCRIPT, target], env=environment, capture_output=True, text=True, check=True)
    assert f"--config.file={target}" in done.stdout
    return target, done.stderr


def receivers(config: Path) -> dict[str, Any]:
    return {receiver["name"]: receiver for receiver in yaml.safe_load(config.read_text())["receivers"]}


def test_without_a_receiver_the_script_says_so(tmp_path: Path) -> None:
    config, said = written(tmp_path, {})
    assert "TOCSIN_ALERT_EMAIL" in said
    assert receivers(config) == {name: {"name": name} for name in ("nobody", "people", "watchdog")}
    assert config.stat().st_mode & 0o077 == 0


def test_mail_webhook_and_watchdog_are_configured(tmp_path: Path) -> None:
    urls = {"TOCSIN_ALERT_WEBHOOK": "https://a.example.org/x", "TOCSIN_WATCHDOG_URL": "https://b.example.org/y"}
    login = {"TOCSIN_ALERT_SMTP_USERNAME": "me", "TOCSIN_ALERT_SMTP_PASSWORD": "it's: #secret"}
    config, said = written(tmp_path, MAIL | urls | login)
    assert said == ""
    found = receivers(config)
    (mail,) = found["people"]["email_configs"]
    assert mail["to"] == MAIL["TOCSIN_ALERT_EMAIL"]
    assert (mail["smarthost"], mail["require_tls"]) == ("mail.example.org:587", True)
    assert (mail["auth_username"], mail["auth_password"]) == ("me", "it's: #secret")
    assert found["people"]["webhook_configs"] == [{"url": "https://a.example.org/x"}]
    assert found["watchdog"]["webhook_configs"] == [{"url": "https://b.example.org/y"}]


@pytest.mark.parametrize("variables", [{}, MAIL, MAIL | {"TOCSIN_WATCHDOG_URL": "https://b.example.org/y"}])
def test_alertmanager_accepts_the_configuration(variables: Mapping[str, str], tmp_path: Path) -> None:
    if shutil.which("amtool") is None:
        pytest.skip("amtool is not installed (Debian: apt install prometheus-alertmanager)")
    config, _ = written(tmp_path, variables)
    done = subprocess.run(["amtool", "check-config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.long
async def test_an_alert_is_mailed_and_informational_ones_are_not(tmp_path: Path, smtp_sink: SharedSink) -> None:
    program = find_program("alertmanager")
    if program is None:
        pytest.skip("Alertmanager is not installed (Debian: apt install prometheus-alertmanager)")
    local = MAIL | {"TOCSIN_ALERT_SMTP": smtp_sink.address, "TOCSIN_ALERT_SMTP_TLS": "none"}
    config, _ = written(tmp_path, local)
    part = Alertmanager(program, tmp_path / "state", free_port(), yaml.safe_load(config.read_text()))
    alerts = [
        {"labels": {"alertname": name, "severity": severity}, "annotations": {"summary": f"About {name}"}}
        for name, severity in (("ClockMissed", "info"), ("Watchdog", "info"), ("MailQueueOld", "critical"))
    ]
    with running(part, tmp_path):
        async with httpx.AsyncClient() as http:
            (await http.post(f"{part.url}/api/v2/alerts", json=alerts)).raise_for_status()
        mails = await eventually(smtp_sink.messages, "the alert is mailed")
    assert {address for mail in mails for address in mail["rcpt_to"]} == {"ada@example.org", "o'hara@example.org"}
    assert all("MailQueueOld" in mail["subject"] and "About MailQueueOld" in mail["html"] for mail in mails)


@pytest.mark.long
async def test_a_fault_of_the_board_wakes_nobody(tmp_path: Path) -> None:
    """Prometheus sends every alert of the job `board` as a warning, and those of other jobs as they are."""
    programs = [find_program(name) for name in ("alertmanager", "prometheus")]
    if programs[0] is None or programs[1] is None:
        pytest.skip("Alertmanager or Prometheus is not installed (Debian: apt install prometheus-alertmanager)")
    receiver = Alertmanager(programs[0], tmp_path / "alertmanager", free_port())
    with exporting('sla_consumer_paused{topic="tocsin.tickets.v1"} 1') as address:
        targets = {"board": [address], "escalator": [address]}
        sender = Prometheus(
            programs[1], tmp_path / "prometheus", free_port(), targets, f"127.0.0.1:{receiver.port}", pace=EVERY_SECOND
        )
        with running(receiver, tmp_path), running(sender, tmp_path):
            async with httpx.AsyncClient() as http:

                async def paused() -> dict[str, str] | None:
                    alerts = (await http.get(f"{receiver.url}/api/v2/alerts")).json()
                    found = [alert["labels"] for alert in alerts if alert["labels"]["alertname"] == "ConsumerPaused"]
                    return {each["job"]: each["severity"] for each in found} if len(found) == len(targets) else None

                severities = await eventually(paused, "both alerts have arrived")
    assert severities == {"board": "warning", "escalator": "critical"}


@contextmanager
def exporting(metrics: str) -> Iterator[str]:
    """The address of a server that exports these metrics."""

    class Exporter(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "text/plain; version=0.0.4")
            self.end_headers()
            self.wfile.write(f"{metrics}\n".encode())

    with ThreadingHTTPServer(("127.0.0.1", 0), Exporter) as server:
        threading.Thread(target=server.serve_forever).start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
