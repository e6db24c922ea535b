"""The third-party requirements of our packages: lists them for `make lock`, and checks the locks.

python deploy/dependencies.py list [PACKAGE...]     print the requirements of the packages (folders; by default all)
python deploy/dependencies.py check                 exit 1 and name each requirement that a lock does not satisfy, each
                                                    line of a lock that is not a hashed pin, and (by deptry) each
                                                    requirement that a pyproject.toml lacks or does not need
"""

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).parents[1]
SERVICES = (
    "shared",
    "services/intake",
    "services/sla-timer",
    "services/escalator",
    "services/notifier",
    "services/board",
)
PACKAGES = (*SERVICES, "deploy/local", "tools")
LOADED_BY_NAME = ("asyncpg", "tzdata", "email-validator")  # by a URL, by zoneinfo, by pydantic
LOCKS = {"deploy/requirements.lock": SERVICES, "deploy/requirements-dev.lock": PACKAGES}
HASHED = (*LOCKS, "deploy/requirements-bench.lock", "deploy/docker/build.lock")
HASHED_PIN = re.compile(r"[\w.\[\],-]+==[^\s;]+( *;.*?)?( +--hash=sha256:[0-9a-f]{64})+( +#.*)?")


def main(command: str, *packages: str) -> int:
    if command == "list":
        sys.stdout.writelines(f"{line}\n" for line in sorted(set(map(str, third_party(packages or PACKAGES)))))
        return 0
    missing = [problem for lock, of in LOCKS.items() for problem in unsatisfied(lock, of)]
    missing += [f"{lock}: {line}" for lock in HASHED for line in unhashed((REPOSITORY / lock).read_text())]
    sys.stderr.writelines(f"{problem}; run `make lock`\n" for problem in missing)
    undeclared = [package for package in PACKAGES if not declared(package)]
    return 1 if missing or undeclared else 0


def third_party(packages: Iterable[str]) -> Iterator[Requirement]:
    """The requirements of `packages`, except those on our own packages, which no index has."""
    ours = {_project(package)["name"] for package in PACKAGES}
    for package in packages:
        for text in _project(package).get("dependencies", ()):
            requirement = Requirement(text)
            if requirement.name not in ours:
                yield requirement


def unsatisfied(lock: str, packages: Iterable[str]) -> Iterator[str]:
    """One line for each requirement that the pinned versions in `lock` do not satisfy."""
    pinned: dict[str, set[str]] = {}
    for line in (REPOSITORY / lock).read_text().splitlines():
        if "==" in line and not line.startswith((" ", "#")):
            name, _, rest = line.partition("==")
            pinned.setdefault(canonicalize_name(name), set()).add(rest.split()[0])
    for requirement in third_party(packages):
        versions = pinned.get(canonicalize_name(requirement.name), set())
        if not any(requirement.specifier.contains(version) for version in versions):
            yield f"{lock}: {requirement} is not satisfied by {', '.join(versions) or 'anything'}"


def unhashed(lock: str) -> list[str]:
    """The lines of a lock that are not a pin with a hash, such as an index URL or a version without a hash."""
    lines = (line.strip() for line in lock.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not line.startswith("#") and not HASHED_PIN.fullmatch(line)]


def declared(package: str) -> bool:
    """Whether deptry finds that `package` imports exactly what its pyproject.toml names.

    A service can use the requirements of `tocsin` without naming them again: one place decides the versions.
    """
    from_shared = [] if package == "shared" else [_module(requirement) for requirement in third_party(["shared"])]
    ignored = f"DEP002={'|'.join(LOADED_BY_NAME)}" + (f",DEP003={'|'.join(from_shared)}" if from_shared else "")
    command = (sys.executable, "-m", "deptry", ".", "--no-ansi", "--per-rule-ignores", ignored)
    done = subprocess.run(command, cwd=REPOSITORY / package, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.stderr.write(f"{package}:\n{done.stderr}")
    return done.returncode == 0


def _module(requirement: Requirement) -> str:
    return requirement.name.partition("-yaml")[0].replace("-", "_")


def _project(package: str) -> dict[str, str | list[str]]:
    document = tomllib.loads((REPOSITORY / package / "pyproject.toml").read_text())
    project: dict[str, str | list[str]] = document["project"]
    return project


if __name__ == "__main__":
    if len(sys.argv) < 2 or sys.argv[1] not in ("list", "check"):
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
