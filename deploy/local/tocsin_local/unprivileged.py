"""PostgreSQL refuses to run as root: as root it runs as `nobody`, in folders which that account can reach."""

import os
import pwd
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from tocsin_local.errors import LocalError

UNPRIVILEGED = "nobody"


@dataclass(frozen=True)
class Account:
    uid: int
    gid: int


def unprivileged() -> Account | None:
    """The account PostgreSQL runs as when we are root; None when we are an ordinary user and it runs as us."""
    if os.geteuid() != 0:
        return None
    try:
        entry = pwd.getpwnam(UNPRIVILEGED)
    except KeyError as error:
        raise LocalError(
            f"PostgreSQL refuses to run as root and there is no account {UNPRIVILEGED!r}: run as an ordinary user."
        ) from error
    return Account(entry.pw_uid, entry.pw_gid)


def reachable(folder: Path, account: Account | None) -> bool:
    """Whether `account` may pass through `folder` and all its parents."""
    if account is None:
        return True
    real = folder.resolve()
    return all(_may_pass(path.stat(), account) for path in (real, *real.parents))


def shared_folder(account: Account) -> Path:
    """A folder of ours below the system's temporary one that `account` can read, the same at every start."""
    for candidate in (Path(tempfile.gettempdir()), Path("/tmp"), Path("/var/tmp")):
        if candidate.is_dir() and reachable(candidate, account):
            return _ours(candidate / f"tocsin-{os.geteuid()}")
    raise LocalError(
        f"PostgreSQL runs as {UNPRIVILEGED!r} and no temporary folder is open to it: set TMPDIR to one that is."
    )


def _ours(folder: Path) -> Path:
    """In a folder that everybody may write to, a name could have been taken by somebody else before."""
    folder.mkdir(mode=0o755, exist_ok=True)
    found = folder.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o022:
        raise LocalError(
            f"{folder} is not a folder that only we can write to: remove it, or set TMPDIR to another place."
        )
    folder.chmod(0o755)
    return folder


def _may_pass(found: os.stat_result, account: Account) -> bool:
    if found.st_uid == account.uid:
        return bool(found.st_mode & stat.S_IXUSR)
    if found.st_gid == account.gid:
        return bool(found.st_mode & stat.S_IXGRP)
    return bool(found.st_mode & stat.S_IXOTH)
