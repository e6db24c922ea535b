"""The settings of a service, read from environment variables with the prefix TOCSIN_ and validated once, at start.

An empty variable counts as unset. A secret may be in a file instead: `TOCSIN_X_FILE` is the path of the file for
`TOCSIN_X`.
"""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal, Self, TypeVar, get_args

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic.fields import FieldInfo
from pydantic_settings import BaseSettings, NoDecode, PydanticBaseSettingsSource, SettingsConfigDict
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError

from tocsin.acknowledgement import LinkSigner
from tocsin.instants import Instant
from tocsin.runtime.errors import FileReadError, SecretFileError
from tocsin.runtime.http.public_address import Network, parse_networks
from tocsin.runtime.process.regular_file import MAX_SECRET_BYTES, read_file, read_text
from tocsin.validation import field_errors


@dataclass(frozen=True)
class Secret:
    """Marks a field as a secret although its type is not SecretStr."""


STACK_ENVIRONMENT = "environment.json"
"""The file with the environment of each service, in the state folder of a running stack."""


def _postgres_url(text: str) -> str:
    try:
        url = make_url(text)
    except ArgumentError as error:
        raise ValueError("must be a URL such as postgresql+asyncpg://role:password@127.0.0.1:5432/intake") from error
    if url.drivername != "postgresql+asyncpg" or not url.database:
        raise ValueError("must start with postgresql+asyncpg:// and name a database")
    return text


def _is_address(text: str) -> bool:
    host, separator, port = text.strip().rpartition(":")
    return bool(separator and host) and port.isdigit() and 0 < int(port) < 65536


def _address(text: str) -> str:
    if not _is_address(text):
        raise ValueError("must be HOST:PORT, for example 127.0.0.1:2525")
    return text.strip()


def _bootstrap(text: str) -> str:
    if not all(_is_address(server) for server in text.split(",")):
        raise ValueError("must be HOST:PORT, or several separated by commas")
    return text


Address = Annotated[str, AfterValidator(_address)]
"""A server, HOST:PORT."""
DatabaseUrl = Annotated[str, AfterValidator(_postgres_url), Secret()]
Bootstrap = Annotated[str, AfterValidator(_bootstrap)]
Port = Annotated[int, Field(ge=1, le=65535)]


class EnvironmentSettings(BaseSettings):
    """The base of all settings: read from the environment."""

    model_config = SettingsConfigDict(env_prefix="TOCSIN_", env_ignore_empty=True, frozen=True, extra="ignore")

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,
        file_secret_settings: PydanticBaseSettingsSource,
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """Read the environment, and the files that it names for secrets."""
        return (init_settings, _SecretFiles(settings_cls), env_settings)


class _SecretFiles(PydanticBaseSettingsSource):
    """Reads the secrets that are in files. Raises SecretFileError."""

    def get_field_value(self, field: FieldInfo, field_name: str) -> tuple[Any, str, bool]:
        name = f"TOCSIN_{field_name.upper()}"
        path = os.environ.get(f"{name}_FILE")
        if not path or not _is_secret(field):
            return None, field_name, False
        if os.environ.get(name):
            raise SecretFileError(f"{name} and {name}_FILE are both set. Set only one.")
        try:
            return read_text(Path(path), MAX_SECRET_BYTES).strip(), field_name, False
        except FileReadError as error:
            raise SecretFileError(f"{name}_FILE cannot be read: {error.reason}.") from None

    def __call__(self) -> dict[str, Any]:
        found = {name: self.get_field_value(field, name)[0] for name, field in self.settings_cls.model_fields.items()}
        return {name: value for name, value in found.items() if value is not None}


def _is_secret(field: FieldInfo) -> bool:
    kinds = (field.annotation, *get_args(field.annotation))
    return SecretStr in kinds or any(isinstance(mark, Secret) for mark in field.metadata)


class ClockSettings(EnvironmentSettings):
    """Business time: `epoch + (real - origin) * rate`; real time by default (docs/architecture.md#time)."""

    clock_epoch: Instant | None = None
    clock_origin: Instant | None = None
    clock_rate: float = Field(default=1.0, ge=0, allow_inf_nan=False)
    clock_file: Path | None = None

    @model_validator(mode="after")
    def _check_complete(self) -> Self:
        if (self.clock_epoch is None) != (self.clock_origin is None):
            raise ValueError("TOCSIN_CLOCK_EPOCH and TOCSIN_CLOCK_ORIGIN must be set together")
        if self.clock_rate != 1 and self.clock_epoch is None:
            raise ValueError("TOCSIN_CLOCK_RATE requires TOCSIN_CLOCK_EPOCH and TOCSIN_CLOCK_ORIGIN")
        return self


class DatabaseSettings(EnvironmentSettings):
    """The settings of `migrate` and `republish`."""

    database_url: DatabaseUrl


class KafkaSettings(EnvironmentSettings):
    """The settings of `python -m tocsin topics`."""

    kafka: Bootstrap


class ServiceSettings(ClockSettings, DatabaseSettings, KafkaSettings):
    """The settings of every service. A service adds its own fields and its default port."""

    host: str = "127.0.0.1"
    port: Port = 8080
    keys: Path
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    log_format: Literal["json", "console"] = "json"
    relay_interval: float = Field(default=1.0, gt=0, le=10)
    """Seconds between two polls of the outbox by the relay. A commit in any process of the service wakes it at once."""


def _link_keys(secret: SecretStr) -> SecretStr:
    LinkSigner(secret.get_secret_value().split(","))
    return secret


class CalendarSettings(EnvironmentSettings):
    """The settings of services that read the calendars of rotations."""

    calendar_networks: Annotated[tuple[Network, ...], NoDecode, BeforeValidator(parse_networks)] = ()
    """The networks, beside the public internet, that calendar feeds may be fetched from."""


class LinkSettings(EnvironmentSettings):
    """The settings of services that create or verify acknowledgement links."""

    ack_keys: Annotated[SecretStr, AfterValidator(_link_keys)]
    """The key that signs links and, separated by commas, older keys whose links stay valid."""

    @property
    def links(self) -> LinkSigner:
        return LinkSigner(self.ack_keys.get_secret_value().split(","))


def use_stack_environment(service: str) -> None:
    """Give a command the settings of that service in the stack of `make run`, unless a database is already set.

    The stack writes them to its state folder: `$TOCSIN_STATE`, or var/ in the current folder. Variables that are
    already set keep their values.
    """
    if os.environ.get("TOCSIN_DATABASE_URL") or os.environ.get("TOCSIN_DATABASE_URL_FILE"):
        return
    try:
        written = read_file(Path(os.environ.get("TOCSIN_STATE") or "var") / STACK_ENVIRONMENT)
    except FileReadError:  # no stack is running here
        return
    for name, value in json.loads(written).get(service, {}).items():
        os.environ.setdefault(name, value)


Settings = TypeVar("Settings", bound=BaseSettings)


def load(settings: type[Settings]) -> Settings:
    """Load the settings from the environment. If some are invalid, list them on stderr and exit with status 2."""
    try:
        return settings()
    except SecretFileError as error:
        sys.stderr.write(f"{error}\n")  # logging is not configured yet
        raise SystemExit(2) from None
    except ValidationError as error:
        problems = [{**problem, "loc": _variable(problem["loc"])} for problem in error.errors(include_url=False)]
        for problem in field_errors(problems):
            sys.stderr.write(f"{str(problem).rstrip('.')}.\n")
        raise SystemExit(2) from None


def _variable(path: tuple[int | str, ...]) -> tuple[int | str, ...]:
    """The path of a field, with the name of its environment variable."""
    return (f"TOCSIN_{str(path[0]).upper()}", *path[1:]) if path else ()
