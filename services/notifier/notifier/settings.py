"""The notifier's settings from the environment (README.md lists them)."""

import ssl
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, Self
from zoneinfo import ZoneInfo

from pydantic import (
    AfterValidator,
    DirectoryPath,
    EmailStr,
    Field,
    FilePath,
    Json,
    SecretStr,
    field_validator,
    model_validator,
)
from tocsin.business_time import load_zone
from tocsin.links import is_this_machine, page_template, public_url
from tocsin.runtime.process.settings import (
    Address,
    CalendarSettings,
    EnvironmentSettings,
    LinkSettings,
    Port,
    ServiceSettings,
)
from tocsin.yaml_document import Zone

from notifier.domain.retry_policy import RetryPolicy
from notifier.domain.return_path import MAX_LOCAL_PART, TOKEN_LENGTH, ReturnPath


def _concurrency(count: int) -> int:
    if count < 2:
        raise ValueError("must be 2 or more, because one connection is reserved for severity 1")
    return count


def _ascii(text: str) -> str:
    if not text.isascii():
        raise ValueError("must be plain ASCII")
    return text


def _authorities(path: Path) -> Path:
    try:
        ssl.create_default_context(cafile=path)
    except (OSError, ssl.SSLError):
        raise ValueError("must be a PEM file with certificates") from None
    return path


Authorities = Annotated[FilePath, AfterValidator(_authorities)]
MailAddress = Annotated[EmailStr, AfterValidator(_ascii)]
Seconds = Annotated[float, Field(gt=0, le=86400)]
Tls = Literal["none", "starttls", "tls"]


@dataclass(frozen=True, slots=True)
class MailServer:
    """`name` is `first` or `second`, `address` is HOST:PORT."""

    name: str
    address: str
    tls: Tls
    ca: Path | None
    username: str | None
    password: SecretStr | None

    @property
    def host(self) -> str:
        return self.address.rpartition(":")[0].strip("[]")

    @property
    def port(self) -> int:
        return int(self.address.rpartition(":")[2])


class ReturnPathSettings(EnvironmentSettings):
    """The settings of services and commands that make or read the envelope sender of each mail."""

    bounce_address: MailAddress | None = None
    """None: all mails have the envelope sender `mail_from`."""
    bounce_delimiter: Literal["+", "-", "=", "."] = "+"

    @field_validator("bounce_address")
    @classmethod
    def _check_length(cls, address: str | None) -> str | None:
        longest = MAX_LOCAL_PART - TOKEN_LENGTH - 1
        if address is not None and len(address.rpartition("@")[0]) > longest:
            raise ValueError(f"must have at most {longest} characters before the @")
        return address

    def return_path(self, keys: SecretStr) -> ReturnPath | None:
        """How to make and read the envelope senders; None if mails have none of their own."""
        if self.bounce_address is None:
            return None
        return ReturnPath(self.bounce_address, self.bounce_delimiter, keys.get_secret_value().split(","))


class Settings(ServiceSettings, LinkSettings, CalendarSettings, ReturnPathSettings):
    """The settings of every service, and the notifier's own."""

    port: Port = 8083
    directory: Path
    policy: Path | None = None
    """Its mailboxes are never mailed (docs/rules.md#6-10)."""
    smtp: Address
    smtp_tls: Tls | None = None
    """None: no TLS, which is the default only for a server on this machine."""
    smtp_ca: Authorities | None = None
    smtp_username: str | None = None
    smtp_password: SecretStr | None = None
    smtp_second: Address | None = None
    """Used while the first one fails."""
    smtp_second_tls: Tls | None = None
    smtp_second_ca: Authorities | None = None
    smtp_second_username: str | None = None
    smtp_second_password: SecretStr | None = None
    smtp_concurrency: Annotated[int, Field(le=100), AfterValidator(_concurrency)] = 16
    smtp_batch: Annotated[int, Field(ge=1, le=1000)] = 20
    smtp_timeout: Seconds = 20
    smtp_data_timeout: Seconds = 60
    mail_from: MailAddress
    mail_zone: Zone = "America/New_York"
    reply_to: MailAddress | None = None
    public_url: Annotated[str, AfterValidator(public_url)]
    """The base URL of intake, for the links in mails."""
    mail_templates: DirectoryPath | None = None
    ack_days: Annotated[float, Field(gt=0, le=365)] = 7
    ticket_urls: Json[dict[str, Annotated[str, AfterValidator(page_template)]]] | None = None
    """By source, the URL of a ticket's page, with {external_id} or {ticket_id} in it."""
    lease_seconds: Annotated[float, Field(ge=1, le=3600)] = 15
    poll_interval: Annotated[float, Field(gt=0, le=60)] = 1
    retry_base: Seconds = 1
    retry_ceiling: Seconds = 300
    retry_give_up: Annotated[float, Field(gt=0)] = 86400

    @model_validator(mode="after")
    def _check_mail_servers(self) -> Self:
        for server, tls in zip(self.mail_servers, (self.smtp_tls, self.smtp_second_tls), strict=False):
            prefix = "TOCSIN_SMTP" if server.name == "first" else "TOCSIN_SMTP_SECOND"
            if tls is None and not is_this_machine(server.host):
                raise ValueError(
                    f"{prefix}_TLS must be set to starttls, tls or none for a mail server on another machine, because "
                    "mails contain acknowledgement links, which are secrets"
                )
            if (server.username is None) != (server.password is None):
                raise ValueError(f"{prefix}_USERNAME and {prefix}_PASSWORD must be set together")
            if server.username is not None and server.tls == "none":
                raise ValueError(f"{prefix}_TLS must be starttls or tls when a password is set")
        return self

    @property
    def mail_servers(self) -> tuple[MailServer, ...]:
        """In the order of use."""
        first = MailServer(
            name="first",
            address=self.smtp,
            tls=self.smtp_tls or "none",
            ca=self.smtp_ca,
            username=self.smtp_username,
            password=self.smtp_password,
        )
        if self.smtp_second is None:
            return (first,)
        second = MailServer(
            name="second",
            address=self.smtp_second,
            tls=self.smtp_second_tls or "none",
            ca=self.smtp_second_ca,
            username=self.smtp_second_username,
            password=self.smtp_second_password,
        )
        return first, second

    @property
    def zone(self) -> ZoneInfo:
        return load_zone(self.mail_zone)

    @property
    def link_life(self) -> timedelta:
        """How long an acknowledgement link is valid, in business time."""
        return timedelta(days=self.ack_days)

    @property
    def lease(self) -> timedelta:
        return timedelta(seconds=self.lease_seconds)

    @property
    def retry_policy(self) -> RetryPolicy:
        return RetryPolicy(
            base=timedelta(seconds=self.retry_base),
            ceiling=timedelta(seconds=self.retry_ceiling),
            give_up=timedelta(seconds=self.retry_give_up),
        )
