"""Jars are downloaded from a Maven repository and used only if their checksum is known."""

import hashlib
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from tocsin_local import jars
from tocsin_local.errors import DownloadError
from tocsin_local.loopback import free_port

JAR = b"the content of a jar" * 1000


@dataclass
class Repository:
    """A Maven repository that serves the same content for every jar."""

    content: bytes = JAR
    served: list[str] = field(default_factory=list)


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The empty Maven cache of a new user."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("M2_REPO", str(tmp_path / "m2"))
    lock = tmp_path / "jars.lock"
    lock.write_text(f"server org.example:server:1.0 {hashlib.sha256(JAR).hexdigest()}\n")
    monkeypatch.setattr(jars, "LOCK", lock)
    return tmp_path / "m2"


@pytest.fixture
def repository(machine: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Repository]:
    served = Repository()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            wanted = self.path.endswith(".jar")
            self.send_response(200 if wanted else 404)
            self.send_header("Content-Length", str(len(served.content) if wanted else 0))
            self.end_headers()
            if wanted:
                served.served.append(self.path)
                self.wfile.write(served.content)

        def log_message(self, format: str, *arguments: object) -> None:
            """Log nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setattr(jars, "MAVEN_CENTRAL", f"http://127.0.0.1:{server.server_port}")
        yield served
        server.shutdown()


def test_a_jar_is_downloaded_once_and_the_download_is_reported(repository: Repository) -> None:
    lines: list[str] = []
    [path] = jars.fetch("server", lines.append)
    assert path.read_bytes() == JAR
    assert lines == ["downloading server (once per user) ..."]
    assert jars.fetch("server", lines.append) == [path]
    assert repository.served == ["/org/example/server/1.0/server-1.0.jar"]


def test_an_interrupted_download_is_repeated(machine: Path, repository: Repository) -> None:
    half = machine / "org/example/server/1.0/server-1.0.jar"
    half.parent.mkdir(parents=True)
    half.write_bytes(JAR[:100])
    assert jars.fetch("server", print) == [half]
    assert half.read_bytes() == JAR


def test_a_jar_with_another_checksum_is_never_used(repository: Repository) -> None:
    repository.content = b"something else"
    with pytest.raises(DownloadError, match="SHA-256"):
        jars.fetch("server", print)


def test_a_missing_network_is_one_sentence(machine: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jars, "MAVEN_CENTRAL", f"http://127.0.0.1:{free_port()}")
    with pytest.raises(DownloadError, match="check the network and start again"):
        jars.fetch("server", print)


def test_every_locked_jar_has_a_checksum() -> None:
    for bundle in jars.ROOTS:
        locked = jars.locked(bundle)
        assert locked
        assert all(len(jar.sha256) == 64 for jar in locked)
