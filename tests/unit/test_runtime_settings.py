"""Settings: an invalid value is one sentence on stderr and exit status 2."""

from ipaddress import ip_network
from pathlib import Path

import pytest
from tocsin.runtime.process.settings import CalendarSettings, DatabaseSettings, LinkSettings, ServiceSettings, load

GOOD = {
    "TOCSIN_DATABASE_URL": "postgresql+asyncpg://intake:secret@127.0.0.1:5432/intake",
    "TOCSIN_KAFKA": "127.0.0.1:9092,[::1]:9093",
    "TOCSIN_KEYS": "keys.yaml",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_valid_settings_are_loaded_and_frozen() -> None:
    settings = load(ServiceSettings)
    assert settings.port == 8080
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # assignment must fail


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TOCSIN_PORT", "http", "TOCSIN_PORT: Input should be a valid integer"),
        ("TOCSIN_PORT", "70000", "TOCSIN_PORT: Input should be less than or equal to 65535."),
        ("TOCSIN_KAFKA", "kafka", "TOCSIN_KAFKA: must be HOST:PORT, or several separated by commas."),
        (
            "TOCSIN_DATABASE_URL",
            "postgresql://me:secret@host/db",
            "TOCSIN_DATABASE_URL: must start with postgresql+asy",
        ),
        ("TOCSIN_CLOCK_RATE", "2", "TOCSIN_CLOCK_RATE requires TOCSIN_CLOCK_EPOCH and TOCSIN_CLOCK_ORIGIN."),
        ("TOCSIN_CLOCK_EPOCH", "2026-06-08T12:00:00Z", "TOCSIN_CLOCK_EPOCH and TOCSIN_CLOCK_ORIGIN must be set togeth"),
    ],
)
def test_an_invalid_value_is_one_sentence(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    assert_refused(sentence, capsys)


def test_the_networks_of_calendars_are_a_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert load(CalendarSettings).calendar_networks == ()
    monkeypatch.setenv("TOCSIN_CALENDAR_NETWORKS", "10.20.0.0/16, fd00:1::/32")
    assert load(CalendarSettings).calendar_networks == (ip_network("10.20.0.0/16"), ip_network("fd00:1::/32"))


@pytest.mark.parametrize("text", ["true", "10.20.0.1/16", "mail.example.com"])
def test_an_invalid_network_is_explained_in_one_sentence(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("TOCSIN_CALENDAR_NETWORKS", text)
    with pytest.raises(SystemExit):
        load(CalendarSettings)
    sentence = "must be networks separated by commas, such as 10.20.0.0/16, or 10.20.3.7/32"
    assert capsys.readouterr().err == f"TOCSIN_CALENDAR_NETWORKS: {sentence}.\n"


def test_a_missing_setting_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("TOCSIN_DATABASE_URL")
    with pytest.raises(SystemExit):
        load(DatabaseSettings)
    assert capsys.readouterr().err == "TOCSIN_DATABASE_URL: is missing.\n"


def test_a_secret_may_be_in_a_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("TOCSIN_DATABASE_URL")
    for name, secret in (("DATABASE_URL", GOOD["TOCSIN_DATABASE_URL"]), ("ACK_KEYS", "k" * 32)):
        (tmp_path / name).write_text(f"{secret}\n")
        monkeypatch.setenv(f"TOCSIN_{name}_FILE", str(tmp_path / name))
    assert load(ServiceSettings).database_url == GOOD["TOCSIN_DATABASE_URL"]
    assert load(LinkSettings).ack_keys.get_secret_value() == "k" * 32
    assert "kkk" not in repr(load(LinkSettings))


@pytest.mark.parametrize(
    ("given", "content", "sentence"),
    [
        ("", None, "TOCSIN_DATABASE_URL_FILE cannot be read: there is no such file."),
        ("", b"\xff\xfesecret", "TOCSIN_DATABASE_URL_FILE cannot be read: it is not UTF-8."),
        ("", b"mysql://me:secret@host/db", "TOCSIN_DATABASE_URL: must start with postgresql+asyncpg:// and"),
        ("postgresql+asyncpg://me:secret@host/db", b"", "TOCSIN_DATABASE_URL and TOCSIN_DATABASE_URL_FILE are both"),
    ],
)
def test_an_unusable_secret_file_is_one_sentence(
    given: str,
    content: bytes | None,
    sentence: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
) -> None:
    monkeypatch.setenv("TOCSIN_DATABASE_URL", given)
    monkeypatch.setenv("TOCSIN_DATABASE_URL_FILE", str(tmp_path / "secret"))
    if content is not None:
        (tmp_path / "secret").write_bytes(content)
    assert_refused(sentence, capsys)


def assert_refused(sentence: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Loading the settings exits with one sentence that starts with these words and contains no secret."""
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    assert ended.value.code == 2
    output = capsys.readouterr().err
    assert output.startswith(sentence)
    assert output.count("\n") == 1
    assert "secret@" not in output
