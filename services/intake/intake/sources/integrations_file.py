"""integrations.yaml as it is now: read again when it changes; a broken one leaves the last good one in force."""

import os
from datetime import datetime
from pathlib import Path

import structlog
from tocsin.runtime.process.reloaded_file import ReloadedFile

from intake import metrics
from intake.domain.webhooks.config.auth import SecretLocation
from intake.domain.webhooks.config.integrations import Integration, Integrations, IntegrationsError, load_integrations

log = structlog.get_logger(__name__)

_LARGEST_SECRET = 10_000


class IntegrationsFile:
    """The integrations of one file. `current` looks at the file's time each call, so a change counts at once.

    Without a file there are none.
    """

    def __init__(self, path: Path | None) -> None:
        self._file: ReloadedFile[Integrations] | None = None
        if path is not None:
            self._file = ReloadedFile(
                path, _read, IntegrationsError, event="integrations_broken", broken=metrics.INTEGRATIONS_BROKEN
            )
        self.current()

    def current(self) -> Integrations | None:
        """The last good integrations; None while there never were any."""
        if self._file is None:
            return None
        if (found := self._file.reload()) is not None:
            providers = {provider for tenant in found.tenants.values() for provider in tenant}
            metrics.declare_hooks(providers | ({"email"} if found.email else set()))
            log.info("integrations_loaded", tenants=len(found.tenants), providers=sorted(providers))
        return self._file.content

    @property
    def written_at(self) -> datetime | None:
        """When the file was last written, in real time."""
        return self._file.written_at if self._file is not None else None

    @property
    def problem(self) -> str | None:
        """What is wrong with the file."""
        return self._file.problem if self._file is not None else None

    def find(self, tenant: str, provider: str) -> Integration | None:
        """The integration behind that path as it is now, or None."""
        integrations = self.current()
        return integrations.find(tenant, provider) if integrations is not None else None

    async def note(self) -> str | None:
        """For /readyz: None, or what is wrong with the file. No reason to be not ready: the last good one serves."""
        self.current()
        return self.problem


def _read(path: Path) -> Integrations:
    return load_integrations(path.read_text(encoding="utf-8"), path.name)


def read_secret(secret: SecretLocation) -> bytes | None:
    """The secret from where it lies, read anew each time, so that one that was rotated counts at once."""
    if secret.secret_env is not None:
        return os.environ.get(secret.secret_env, "").strip().encode(errors="surrogateescape") or None
    assert secret.secret_file is not None  # one of the two is given (see auth)
    try:
        with Path(secret.secret_file).open("rb") as file:
            return file.read(_LARGEST_SECRET).strip() or None
    except OSError as error:
        log.error("hook_secret_unreadable", error=type(error).__name__)
        return None
