"""Which tests prove which clause of docs/rules.md: `make rules` prints the list."""

import ast
import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
RULES_FILE: Final = ROOT / "docs" / "rules.md"
_CLAUSE: Final = re.compile(r'^<a id="(\d+)-(\d+)"></a>\*\*(\d+\.\d+)( \(planned\))?\*\*', re.M)


@dataclass(frozen=True, slots=True)
class Clause:
    """A numbered clause; a planned one is agreed, but nothing enforces it yet."""

    number: str
    anchor: str
    planned: bool


def clauses() -> list[Clause]:
    """Every clause of docs/rules.md in its order."""
    return [
        Clause(number, f"{section}-{item}", bool(planned))
        for section, item, number, planned in _CLAUSE.findall(RULES_FILE.read_text(encoding="utf-8"))
    ]


def proofs() -> Mapping[str, list[str]]:
    """Clause number -> the tests marked with `@pytest.mark.rule(...)`, as `file::test`, sorted."""
    found: dict[str, list[str]] = defaultdict(list)
    for file in sorted((ROOT / "tests").rglob("test_*.py")):
        for test, clause in _marked(ast.parse(file.read_text(encoding="utf-8"))):
            found[clause].append(f"{file.relative_to(ROOT)}::{test}")
    return found


def _marked(module: ast.Module) -> Iterator[tuple[str, str]]:
    """(test, clause) for every mark in a file; a mark of the whole file counts under the name `*`."""
    for statement in module.body:
        name = getattr(statement, "name", "*")
        for node in ast.walk(statement):
            if isinstance(node, ast.Call) and ast.unparse(node.func) == "pytest.mark.rule":
                for argument in node.args:
                    yield name, ast.literal_eval(argument)


def main() -> None:
    tests = proofs()
    for clause in clauses():
        print(f"{clause.number}{' (planned)' if clause.planned else ''}")  # noqa: T201 - a list for the terminal
        for test in tests.get(clause.number, ()):
            print(f"    {test}")  # noqa: T201 - a list for the terminal


if __name__ == "__main__":
    main()
