"""deploy/dependencies.py: a lock file contains only pinned versions with hashes."""

import importlib.util
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[2] / "deploy"
spec = importlib.util.spec_from_file_location("dependencies", DEPLOY / "dependencies.py")
assert spec is not None
assert spec.loader is not None
dependencies = importlib.util.module_from_spec(spec)
spec.loader.exec_module(dependencies)

HASH = f"--hash=sha256:{'0a' * 32}"
PINS = f"anyio==4.1.0 \\\n    {HASH} \\\n    {HASH}\ncolorama==0.4.6 ; sys_platform == 'win32' \\\n    {HASH}\n"


def test_pinned_versions_with_hashes_are_accepted() -> None:
    assert dependencies.unhashed(f"# a remark\n\n{PINS}") == []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://mirror.example/simple",
        "--extra-index-url=https://mirror.example/simple",
        "-i https://mirror.example/simple",
        "--find-links ./wheels",
        "-f https://mirror.example/wheels",
        "httpx==0.28.1",
        "colorama==0.4.6 ; sys_platform == 'win32'",
        "httpx==0.28.1 --hash=md5:00",
        "httpx>=0.28",
        "httpx @ https://mirror.example/httpx.whl",
    ],
)
def test_any_other_line_is_reported(line: str) -> None:
    assert dependencies.unhashed(f"{PINS}{line}\n") == [line]
    assert dependencies.unhashed(f"{line}\n{PINS}") == [line]


@pytest.mark.parametrize("lock", dependencies.HASHED)
def test_our_lock_files_are_accepted(lock: str) -> None:
    assert dependencies.unhashed((DEPLOY.parent / lock).read_text()) == []
