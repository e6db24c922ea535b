"""integrations.yaml as it is now: read again when it changes; a broken one leaves the last good one in force."""

import os
from pathlib import Path

import structlog

from intake import metrics
from intake.hooks.auth import Secret
from intake.hooks.mapping import Integration, Integrations, IntegrationsError, load_integrations

log = structlog.get_logger(__name__)

_LARGEST_SECRET = 10_000


class IntegrationsFile:
    """The integrations of one file. `current` looks at the file's time each call, so a change counts at once.

    Without a file there are none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._version: tuple[int, int, int] | None = None
        self._integrations: Integrations | None = None
        self.problem: str | None = None
        self.current()

    def current(self) -> Integrations | None:
        """The last good integrations; None while there never were any."""
        if self._path is not None:
            self._look(self._path)
        return self._integrations

    def find(self, tenant: str, provider: str) -> Integration | None:
        """The integration behind that path as it is now, or None."""
        integrations = self.current()
        return integrations.find(tenant, provider) if integrations is not None else None

    async def note(self) -> str | None:
        """For /readyz: None, or what is wrong with the file. No reason to be not ready: the last good one serves."""
        self.current()
        return self.problem

    def _look(self, path: Path) -> None:
        try:
            status = path.stat()
            version = (status.st_size, status.st_mtime_ns, status.st_ino)
            if version == self._version:
                return
            # Kept even if reading fails: a broken file is complained about once, not at every look.
            self._version = version
            self._integrations = load_integrations(path.read_text(encoding="utf-8"), path.name)
        except (OSError, UnicodeDecodeError) as error:
            self._version = None
            self._found(f"{path.name} cannot be read: {type(error).__name__}")
        except IntegrationsError as error:
            self._found(str(error))
        else:
            self._found(None)
            providers = {provider for tenant in self._integrations.tenants.values() for provider in tenant}
            metrics.declare_hooks(providers | ({"email"} if self._integrations.email else set()))
            log.info("integrations_loaded", tenants=len(self._integrations.tenants), providers=sorted(providers))

    def _found(self, problem: str | None) -> None:
        if problem is not None and problem != self.problem:
            kept = "the last good ones" if self._integrations else "none"
            log.error("integrations_broken", problem=problem, in_force=kept)
        self.problem = problem
        metrics.INTEGRATIONS_BROKEN.set(problem is not None)


def read_secret(secret: Secret) -> bytes | None:
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
