"""The command that a mail server's pipe calls: no mistake of ours makes the mail server return a mail."""

from pathlib import Path

import pytest
from intake.commands.app import app
from typer.testing import CliRunner

KEEP = 75
"""The exit code on which a mail server keeps the mail and tries again."""
INTEGRATIONS = """
version: "1"
tenants: {}
email:
  default: { ours: [msp.example], severity: 3, services: [Email] }
"""


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The settings of a service whose policy is missing."""
    monkeypatch.setenv("TOCSIN_STATE", str(tmp_path))
    (tmp_path / "integrations.yaml").write_text(INTEGRATIONS)
    return {
        "TOCSIN_DATABASE_URL": "postgresql+asyncpg://nobody@127.0.0.1:1/nothing",
        "TOCSIN_KAFKA": "127.0.0.1:1",
        "TOCSIN_KEYS": str(tmp_path / "keys.json"),
        "TOCSIN_ACK_KEYS": "k" * 32,
        "TOCSIN_INTEGRATIONS": str(tmp_path / "integrations.yaml"),
        "TOCSIN_POLICY": str(tmp_path / "policy.yaml"),
    }


@pytest.mark.parametrize(
    ("changed", "problem"),
    [
        ({}, "TOCSIN_POLICY: "),
        ({"TOCSIN_POLICY": ""}, "TOCSIN_POLICY: is missing."),
        ({"TOCSIN_DATABASE_URL": "sqlite://"}, "TOCSIN_DATABASE_URL: "),
        ({"TOCSIN_INTEGRATIONS": ""}, "has no `email` section for the tenant default."),
    ],
)
def test_the_mail_server_keeps_a_mail_until_the_settings_are_corrected(
    environment: dict[str, str], changed: dict[str, str], problem: str
) -> None:
    done = CliRunner().invoke(app, ["mail", "-"], env=environment | changed, input=b"From: ada@acme.example\n\nHello")
    assert (done.exit_code, problem in done.output) == (KEEP, True), done.output
