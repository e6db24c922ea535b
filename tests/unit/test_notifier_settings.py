"""The settings of mail servers: no silent plain text, and every invalid value is explained in a sentence."""

import pytest
from notifier.settings import Settings
from support.notifier_world import REQUIRED
from tocsin.runtime.process.settings import load


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in REQUIRED.items():
        monkeypatch.setenv(f"TOCSIN_{name.upper()}", value)


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
            "must be 2 or more, because one connection is reserved for severity 1.\n",
        ),
        ("TOCSIN_TICKET_URLS", "[]", "must be an object.\n"),
    ],
)
def test_an_invalid_value_is_one_sentence(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit):
        load(Settings)
    printed = capsys.readouterr().err
    assert printed.startswith(f"{name}: ")
    assert printed.endswith(sentence)


def test_an_invalid_ticket_url_is_named_by_its_source(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOCSIN_TICKET_URLS", '{"psa": "/t/{external_id}"}')
    with pytest.raises(SystemExit):
        load(Settings)
    assert capsys.readouterr().err == "TOCSIN_TICKET_URLS.psa: must be a URL such as https://sla.example.com.\n"


def test_two_connections_are_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SMTP_CONCURRENCY", "2")
    assert load(Settings).smtp_concurrency == 2


@pytest.mark.parametrize("server", ["127.0.0.1:25", "localhost:25", "[::1]:25"])
def test_a_server_on_this_machine_needs_no_tls(server: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOCSIN_SMTP", server)
    assert [server.tls for server in load(Settings).mail_servers] == ["none"]


@pytest.mark.parametrize("name", ["TOCSIN_SMTP", "TOCSIN_SMTP_SECOND"])
def test_tls_must_be_set_for_another_machine(
    name: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, "mail.example.org:587")
    with pytest.raises(SystemExit):
        load(Settings)
    assert capsys.readouterr().err == (
        f"{name}_TLS must be set to starttls, tls or none for a mail server on another machine, because mails contain "
        "acknowledgement links, which are secrets.\n"
    )
    for tls in ("starttls", "tls", "none"):
        monkeypatch.setenv(f"{name}_TLS", tls)
        assert load(Settings).mail_servers[-1].tls == tls
