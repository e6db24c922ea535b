"""The unit tests on every supported Python of this machine, among them the one of the shipped images."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from functools import cache
from pathlib import Path

import pytest
from uv import find_uv_bin

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.long
MINORS = range(11, 15)
IMAGE = re.search(r"^FROM python:(3\.\d+)-slim$", (ROOT / "services/intake/Dockerfile").read_text(), re.M)
"""All Dockerfiles name the same Python: tests/slow/test_deploy_images.py."""
SOURCES = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]["mypy_path"]
VERSION = """
import email.utils, inspect, platform
print(platform.python_version(), "strict" in inspect.signature(email.utils.getaddresses).parameters)
"""


@cache
def found() -> dict[str, tuple[str, bool]]:
    """The interpreters of this machine: path -> (version, whether its address parser is strict)."""
    roots = [Path(folder) for folder in os.environ["PATH"].split(os.pathsep)]
    if pyenv := shutil.which("pyenv"):
        versions = subprocess.run([pyenv, "root"], capture_output=True, text=True, check=True).stdout.strip()
        roots += sorted(Path(versions).glob("versions/*/bin"))
    interpreters: dict[str, tuple[str, bool]] = {}
    for minor in MINORS:
        for path in {(root / f"python3.{minor}").resolve() for root in roots if (root / f"python3.{minor}").exists()}:
            asked = subprocess.run([path, "-c", VERSION], capture_output=True, text=True, check=False)
            if asked.returncode == 0:
                version, strict = asked.stdout.split()
                interpreters[str(path)] = version, strict == "True"
    return interpreters


def newest() -> list[str]:
    """Of each minor version and each kind of address parser the newest interpreter."""
    best: dict[tuple[str, bool], tuple[list[int], str]] = {}
    for path, (version, strict) in found().items():
        key = version.rpartition(".")[0], strict
        best[key] = max(best.get(key, ([], "")), ([int(part) for part in re.findall(r"\d+", version)], path))
    return [path for _, path in best.values()]


@pytest.mark.parametrize("interpreter", newest(), ids=lambda path: "-".join(map(str, found()[path])))
def test_the_unit_tests_pass(interpreter: str, tmp_path: Path) -> None:
    uv, venv = find_uv_bin(), tmp_path / "venv"
    subprocess.run([uv, "venv", "--quiet", "--python", interpreter, venv], check=True)
    # pytest-xdist would take the inner run for a worker of the outer one.
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    environment = inherited | {"VIRTUAL_ENV": str(venv), "PYTHONPATH": SOURCES}
    lock = ROOT / "deploy" / "requirements-dev.lock"
    subprocess.run([uv, "pip", "install", "--quiet", "--require-hashes", "-r", lock], env=environment, check=True)
    command = [str(venv / "bin" / "python"), "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/unit"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-10_000:]


def test_the_tests_run_on_the_python_of_the_images() -> None:
    assert IMAGE
    assert f"{sys.version_info.major}.{sys.version_info.minor}" == IMAGE[1], f"make setup PYTHON=python{IMAGE[1]}"


def test_the_python_of_the_images_is_among_them() -> None:
    assert IMAGE
    assert IMAGE[1] in {version.rpartition(".")[0] for version, _ in found().values()}
    strict = {version for version, strict in (found()[path] for path in newest()) if strict}
    assert strict, "no Python here has the address parser of the images"
    if IMAGE[1] not in {version.rpartition(".")[0] for version in strict}:
        pytest.skip(f"the address parser of the images is only in {', '.join(sorted(strict))} here (Debian: python3)")
