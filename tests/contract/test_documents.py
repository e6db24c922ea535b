"""The documents hold together: links and named files exist, and the decision records are numbered and indexed."""

import re
import subprocess
from pathlib import Path

import pytest
from support.documents import anchors
from support.rule_index import ROOT

DECISIONS = sorted((ROOT / "docs/decisions").glob("[0-9]*.md"))
LINK = re.compile(r"\]\((?!\w+:)([^)#\s]*)(?:#([\w-]+))?\)")
FILE = re.compile(
    r"\b((?:deploy|docs|services|shared|tests|tools)/[\w./-]+\.(?:css|csv|html|j2|lock|md|py|toml|yaml))\b"
)


def documents() -> list[Path]:
    """Every Markdown file of the repository."""
    listed = subprocess.run(["git", "ls-files", "*.md"], cwd=ROOT, capture_output=True, text=True, check=True)
    return [ROOT / name for name in listed.stdout.split()]


@pytest.mark.parametrize("document", documents(), ids=lambda path: str(path.relative_to(ROOT)))
def test_links_and_named_files_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target, anchor in LINK.findall(text):
        found = (document.parent / target).resolve() if target else document
        assert found.exists(), target
        assert not anchor or anchor in anchors(found), f"{target}#{anchor}"
    assert [name for name in FILE.findall(text) if not (ROOT / name).exists()] == []


def test_decision_records_are_numbered_without_gaps_and_indexed() -> None:
    assert [int(record.name[:4]) for record in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    index = (ROOT / "docs/decisions/README.md").read_text(encoding="utf-8")
    indexed = re.findall(r"^\| \[(\d{4})\]\((\S+)\)", index, re.M)
    assert sorted(indexed) == [(record.name[:4], record.name) for record in DECISIONS]


@pytest.mark.parametrize("record", DECISIONS, ids=lambda path: path.stem)
def test_a_decision_record_names_the_check_that_enforces_it(record: Path) -> None:
    text = record.read_text(encoding="utf-8")
    assert text.startswith(f"# {record.name[:4]} ")
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert headings == ["Context", "Decision", "Consequences", "Alternatives", "Enforced by"]
