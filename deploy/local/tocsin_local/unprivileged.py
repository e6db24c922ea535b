"""PostgreSQL refuses to run as root: as root it runs as `nobody`, in folders that this account can reach."""

import os
import pwd
import stat
from dataclasses import dataclass
from pathlib import Path

from tocsin_local.errors import LocalError

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class UnixAccount:
    uid: int
    gid: int


def unprivileged_account() -> UnixAccount | None:
    """The account that PostgreSQL runs as if we are root; None for an ordinary user, as whom it can run."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise LocalError(
            f"PostgreSQL refuses to run as root and there is no account {UNPRIVILEGED!r}: run as an ordinary user."
        ) from error
    return UnixAccount(entry.pw_uid, entry.pw_gid)


def is_reachable(folder: Path, account: UnixAccount | None) -> bool:
    """Whether `account` can traverse `folder` and all its parents."""
    if account is None:
        return True
    real = folder.resolve()
    return all(_can_traverse(path.stat(), account) for path in (real, *real.parents))


def shared_folder(account: UnixAccount) -> Path:
    """Our folder below a temporary one, which `account` can read; the same at every start.

    /var/tmp is kept when the machine restarts.
    """
    for candidate in (Path(os.environ.get("TMPDIR", "/var/tmp")), Path("/var/tmp"), Path("/tmp")):
        if candidate.is_dir() and is_reachable(candidate, account):
            return _own_folder(candidate / f"tocsin-{os.geteuid()}")
    raise LocalError(
        f"PostgreSQL runs as {UNPRIVILEGED!r} and cannot read any temporary folder: set TMPDIR to one that it can."
    )


def _own_folder(folder: Path) -> Path:
    """Create the folder. Its parent is writable for everyone, so somebody else can own the name already."""
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise LocalError(
            f"{folder} is not a folder that only this user can write to: remove it, or set TMPDIR to another folder."
        )
    folder.chmod(0o755)
    return folder


def _can_traverse(found: os.stat_result, account: UnixAccount) -> bool:
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
