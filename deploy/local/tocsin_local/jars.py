"""The jars of the embedded servers: downloaded once per user by jgo, and used only if their SHA-256 is in jars.lock."""

import fcntl
import hashlib
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import jgo
import requests
from jgo.config import GlobalSettings
from jgo.constants import MAVEN_CENTRAL_URL as MAVEN_CENTRAL
from jgo.maven import MavenContext, PythonResolver

from tocsin_local.errors import DownloadError

LOCK = Path(__file__).with_name("jars.lock")
ROOTS = {
    "kafka": ("org.apache.kafka:kafka_2.13:4.3.1", "org.apache.logging.log4j:log4j-slf4j-impl:2.25.4"),
    **{
        f"postgres-{platform}": (f"io.zonky.test.postgres:embedded-postgres-binaries-{platform}:18.6.0",)
        for platform in ("linux-amd64", "linux-arm64v8", "darwin-amd64", "darwin-arm64v8")
    },
}


@dataclass(frozen=True)
class Jar:
    group: str
    artifact: str
    version: str
    sha256: str

    def __str__(self) -> str:
        return f"{self.group}:{self.artifact}:{self.version}"


def fetch(bundle: str, report: Callable[[str], None]) -> list[Path]:
    """The paths of all jars of `bundle` (a key of `ROOTS`); missing ones are downloaded to the user's Maven cache.

    Raises DownloadError.
    """
    jars = locked(bundle)
    with exclusive(cache_folder() / "jars.busy"):
        download = _Download(bundle, len(jars), report)
        context = _maven(download)
        try:
            return [_verified(context, jar) for jar in jars]
        except (requests.RequestException, RuntimeError) as error:
            raise DownloadError(
                f"{bundle} could not be downloaded from the Maven repository ({_reason(error)}): "
                "check the network and start again. Complete files are kept."
            ) from error
        except OSError as error:
            raise DownloadError(
                f"{bundle} could not be stored below {context.repo_cache}: {error.strerror}."
            ) from error


def locked(bundle: str) -> list[Jar]:
    """The jars of `bundle` in jars.lock, which has lines `bundle group:artifact:version sha256`."""
    rows = (line.split() for line in LOCK.read_text().splitlines() if line and not line.startswith("#"))
    return [_jar(coordinate, sha256) for name, coordinate, sha256 in rows if name == bundle]


def _jar(coordinate: str, sha256: str) -> Jar:
    group, artifact, version = coordinate.split(":")
    return Jar(group, artifact, version, sha256)


def cache_folder() -> Path:
    """The user's folder for unpacked files and for what several stacks share."""
    folder = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tocsin"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _verified(context: MavenContext, jar: Jar) -> Path:
    """The path of a jar. An interrupted download leaves a short file, so a wrong one is downloaded once more."""
    artifact = context.project(jar.group, jar.artifact).at_version(jar.version).artifact()
    for _ in range(2):
        path = artifact.resolve()
        if _sha256(path) == jar.sha256:
            return path
        path.unlink()
    raise DownloadError(
        f"{jar} from the Maven repository does not have the SHA-256 in {LOCK.name}, so it was not used: "
        "ask the administrator of your package mirror."
    )


def _maven(download: "_Download") -> MavenContext:
    settings = GlobalSettings.load()
    return MavenContext(
        resolver=PythonResolver(progress_callback=download.file),
        repo_cache=settings.repo_cache,
        remote_repos={"central": MAVEN_CENTRAL, **settings.repositories},
        timeout=60,
    )


@dataclass
class _Download:
    """Reports the progress of a download once a second."""

    name: str
    total: int
    report: Callable[[str], None]
    files: int = 0
    size: int = 0
    reported_at: float = field(default_factory=time.monotonic)

    @contextmanager
    def file(self, filename: str, size: int) -> Iterator[Callable[[int], None]]:
        if not self.files:
            self.report(f"downloading {self.name} (once per user) ...")
        self.files += 1
        yield lambda count: self._count(filename, count)

    def _count(self, filename: str, count: int) -> None:
        self.size += count
        if time.monotonic() - self.reported_at >= 1:
            self.reported_at = time.monotonic()
            self.report(f"  {self.size / 1e6:.1f} MB, file {self.files} of at most {self.total}: {filename}")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the file lock `path`: two stacks that start for the first time wait for each other."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _reason(error: Exception) -> str:
    text = str(error)
    return type(error).__name__ if isinstance(error, requests.RequestException) else text.split(" in remote")[0]


def lock(bundles: Sequence[str] = tuple(ROOTS)) -> Iterator[str]:
    """The lines of `jars.lock` for the versions in `ROOTS`, by the jars that the repository serves now.

    Each root is resolved alone, because in jgo the dependency management of one can change the versions of another.
    """
    for bundle in bundles:
        artifacts = {str(artifact): artifact for root in ROOTS[bundle] for artifact in jgo.resolve(root)}
        for _, artifact in sorted(artifacts.items()):
            coordinate = f"{artifact.groupId}:{artifact.artifactId}:{artifact.version}"
            yield f"{bundle} {coordinate} {_sha256(artifact.resolve())}"


if __name__ == "__main__":
    sys.stdout.write("# bundle, Maven coordinate, SHA-256: written by `python -m tocsin_local.jars`\n")
    sys.stdout.writelines(f"{line}\n" for line in lock())
