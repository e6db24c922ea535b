"""integrations.yaml, read again when it changes; while it is invalid, the last valid version stays active."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Final

import structlog
from tocsin.runtime.process.reloaded_file import ReloadedFile
from tocsin.sources.secrets import read_secret

from intake import metrics
from intake.domain.webhooks.config.auth import Auth
from intake.domain.webhooks.config.integrations import Integrations, load_integrations
from intake.errors import IntegrationsError, IntegrationsUnavailableError

log = structlog.get_logger(__name__)

_NO_INTEGRATIONS: Final = Integrations(version="none", tenants={})


class IntegrationsFile:
    """The integrations in a file; without a file there are none. Every call checks whether the file has changed."""

    def __init__(self, path: Path | None) -> None:
        self._file: ReloadedFile[Integrations] | None = None
        if path is not None:
            self._file = ReloadedFile(
                path,
                load_integrations,
                IntegrationsError,
                event="integrations_broken",
                broken=metrics.INTEGRATIONS_BROKEN,
            )
        self.last_valid()

    def current(self) -> Integrations:
        """The last valid integrations. Raises IntegrationsUnavailableError if the file has never been valid."""
        if (found := self.last_valid()) is None:
            raise IntegrationsUnavailableError
        return found

    def last_valid(self) -> Integrations | None:
        """The last valid integrations; None if the file has never been valid."""
        if self._file is None:
            return _NO_INTEGRATIONS
        if (found := self._file.reload()) is not None:
            _declare_metrics(found)
        return self._file.content

    @property
    def written_at(self) -> datetime | None:
        """When the file was last written, in real time."""
        return self._file.written_at if self._file is not None else None

    @property
    def problem(self) -> str | None:
        """What is wrong with the file, or None."""
        return self._file.problem if self._file is not None else None

    def ready(self) -> Mapping[tuple[str, str], bool]:
        """For each integration, by tenant and provider, whether its secret exists now. Mail is the provider `email`."""
        integrations = self.last_valid()
        return _ready(integrations) if integrations is not None else {}

    async def note(self) -> str | None:
        """What is wrong with the file, or None. The service stays ready with the last valid version.

        `/readyz` needs no key, so it names the field but not its value.
        """
        self.last_valid()
        return self._file.public_problem if self._file is not None else None


def _declare_metrics(integrations: Integrations) -> None:
    """Create the label sets of the integrations in a file that was loaded."""
    providers = {provider for tenant in integrations.tenants.values() for provider in tenant}
    mail = {"email"} if integrations.email else set()
    metrics.declare_hooks(providers | mail)
    tools = (tool for tenant in integrations.tenants.values() for tool in tenant.items())
    metrics.declare_sources(sorted({tool.source or provider for provider, tool in tools} | mail))
    metrics.declare_integrations(_ready(integrations))
    log.info("integrations_loaded", tenants=len(integrations.tenants), providers=sorted(providers))


def _ready(integrations: Integrations) -> Mapping[tuple[str, str], bool]:
    tools = {
        (tenant, provider): integration.auth
        for tenant, providers in integrations.tenants.items()
        for provider, integration in providers.items()
    }
    mails = {(tenant, "email"): config.auth for tenant, config in integrations.email.items()}
    return {names: _is_usable(auth) for names, auth in (tools | mails).items()}


def _is_usable(auth: Auth | None) -> bool:
    """Whether deliveries can be authenticated; mail without `auth` comes by the command only, which needs no secret."""
    return auth is None or auth.fetch_keys or bool(auth.read_secrets(read_secret))
