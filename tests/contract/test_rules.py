"""docs/rules.md is enforced: each clause has tests that name it, and each reference into the documents has a target."""

import re
import subprocess

from support.documents import anchors
from support.rule_index import ROOT, clauses, proofs

REFERENCE = re.compile(r"\b(docs/[\w/-]+\.md)(?:#([\w-]+))?")
"""A document, and a heading or clause in it, as code and comments name them."""
OLD_REFERENCE = re.compile(r"\((?:RULES|DESIGN)\b|\bRULES \d")


def test_every_clause_is_proved_by_a_test_that_names_it() -> None:
    tests = proofs()
    assert [clause.number for clause in clauses() if not clause.planned and clause.number not in tests] == []


def test_a_test_names_clauses_that_exist_and_are_in_force() -> None:
    in_force = {clause.number for clause in clauses() if not clause.planned}
    assert {clause: tests for clause, tests in proofs().items() if clause not in in_force} == {}


def test_clauses_are_numbered_without_gaps() -> None:
    numbers = [tuple(map(int, clause.number.split("."))) for clause in clauses()]
    assert numbers == [
        (section, item)
        for section in range(numbers[-1][0] + 1)
        for item in range(1, 1 + sum(number[0] == section for number in numbers))
    ]
    assert all(clause.anchor == clause.number.replace(".", "-") for clause in clauses())


def test_every_reference_into_the_documents_has_a_target() -> None:
    broken = [
        f"{file}: {document}#{anchor}"
        for file in tracked_files()
        for document, anchor in REFERENCE.findall((ROOT / file).read_text(encoding="utf-8"))
        if anchor and anchor not in anchors(ROOT / document)
    ]
    assert broken == []


def test_nothing_refers_to_documents_outside_the_repository() -> None:
    found = [file for file in tracked_files() if OLD_REFERENCE.search((ROOT / file).read_text(encoding="utf-8"))]
    assert found == []


def tracked_files() -> list[str]:
    """Every text file of the repository but this one."""
    kinds = ("*.py", "*.md", "*.yaml", "*.toml", "*.j2", "*.html", "*.css", "Makefile", "*Dockerfile")
    listed = subprocess.run(["git", "ls-files", "--", *kinds], cwd=ROOT, capture_output=True, text=True, check=True)
    return [file for file in listed.stdout.split() if (ROOT / file).resolve() != (ROOT / __file__).resolve()]
