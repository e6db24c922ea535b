"""Settings: a wrong value is one clear sentence, and the process ends with 2."""

import pytest
from tocsin.runtime.settings import DatabaseSettings, ServiceSettings, load

GOOD = {
    "TOCSIN_DATABASE_URL": "postgresql+asyncpg://intake:secret@127.0.0.1:5432/intake",
    "TOCSIN_KAFKA": "127.0.0.1:9092,[::1]:9093",
    "TOCSIN_KEYS": "keys.yaml",
}


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in GOOD.items():
        monkeypatch.setenv(name, value)


def test_good_settings_are_read_and_frozen() -> None:
    settings = load(ServiceSettings)
    assert settings.port == 8080
    with pytest.raises(ValueError, match="frozen"):
        settings.port = 1  # type: ignore[misc]  # that it is refused is the point


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("TOCSIN_PORT", "http", "TOCSIN_PORT: input should be a valid integer"),
        ("TOCSIN_PORT", "70000", "TOCSIN_PORT: input should be less than or equal to 65535."),
        ("TOCSIN_KAFKA", "kafka", "TOCSIN_KAFKA: must be HOST:PORT, or several of them with commas between."),
        (
            "TOCSIN_DATABASE_URL",
            "postgresql://me:secret@host/db",
            "TOCSIN_DATABASE_URL: must start with postgresql+asy",
        ),
        ("TOCSIN_CLOCK_RATE", "2", "TOCSIN_CLOCK_RATE needs TOCSIN_CLOCK_EPOCH and TOCSIN_CLOCK_ORIGIN."),
        ("TOCSIN_CLOCK_EPOCH", "2026-06-08T12:00:00Z", "TOCSIN_CLOCK_EPOCH and TOCSIN_CLOCK_ORIGIN must be given to"),
    ],
)
def test_a_wrong_value_is_a_sentence(
    name: str, value: str, sentence: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SystemExit) as ended:
        load(ServiceSettings)
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith(sentence)
    assert told.count("\n") == 1
    assert "secret" not in told


def test_what_is_missing_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.delenv("TOCSIN_DATABASE_URL")
    with pytest.raises(SystemExit):
        load(DatabaseSettings)
    assert capsys.readouterr().err == "TOCSIN_DATABASE_URL is not set, and is needed.\n"
