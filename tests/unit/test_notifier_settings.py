"""The notifier's settings of mail servers: what is not said does not go in the clear, and what is wrong is told."""

import pytest
from notifier.settings import Settings
from tocsin.runtime.process.settings import load

GOOD = {
    "TOCSIN_DATABASE_URL": "postgresql+asyncpg://notifier:secret@127.0.0.1:5432/notifier",
    "TOCSIN_KAFKA": "127.0.0.1:9092",
    "TOCSIN_KEYS": "keys.yaml",
    "TOCSIN_DIRECTORY": "directory.yaml",
    "TOCSIN_SMTP": "127.0.0.1:25",
    "TOCSIN_MAIL_FROM": "tocsin@example.org",
    "TOCSIN_PUBLIC_URL": "https://sla.example.org",
    "TOCSIN_ACK_KEYS": "a key for the links of tests only",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("TLS", "USERNAME", "PASSWORD", "PASSWORD_FILE"):
        monkeypatch.setenv(f"TOCSIN_SMTP_{name}", "")
    (server,) = load(Settings).mail_servers
    assert (server.tls, server.username, server.password) == ("none", None, None)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TOCSIN_MAIL_FROM", "tocsin", "An email address must have an @-sign.\n"),
        (
            "TOCSIN_SMTP_CONCURRENCY",
            "1",
            "must be 2 or more: one is kept for severity 1, which must not wait behind a slow mail.\n",
        ),
    ],
)
def test_a_wrong_value_is_a_sentence(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        load(Settings)
    said = capsys.readouterr().err
    assert said.startswith(f"{name}: ")
    assert said.endswith(sentence)


def test_two_mails_at_a_time_leave_one_place_for_severity_1(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SMTP_CONCURRENCY", "2")
    assert load(Settings).smtp_concurrency == 2


@pytest.mark.parametrize("server", ["127.0.0.1:25", "localhost:25", "[::1]:25"])
def test_on_this_machine_mail_goes_in_the_clear_by_default(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SMTP", server)
    assert [server.tls for server in load(Settings).mail_servers] == ["none"]


@pytest.mark.parametrize("name", ["TOCSIN_SMTP", "TOCSIN_SMTP_SECOND"])
def test_how_mail_goes_to_another_machine_must_be_said(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "mail.example.org:587")
    with pytest.raises(SystemExit):
        load(Settings)
    assert capsys.readouterr().err == (
        f"{name}_TLS must say starttls, tls or none where the mail server is another machine: mails hold "
        "acknowledgement links, which are secrets.\n"
    )
    for tls in ("starttls", "tls", "none"):
        monkeypatch.setenv(f"{name}_TLS", tls)
        assert load(Settings).mail_servers[-1].tls == tls
