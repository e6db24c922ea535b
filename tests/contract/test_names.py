"""A name means one thing in the whole product."""

import ast
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).parents[2]
OF_EVERY_SERVICE = {"Settings", "Handlers"}


def test_a_class_name_exists_once() -> None:
    files = [file for folder in ("services", "shared", "deploy", "tools") for file in (ROOT / folder).rglob("*.py")]
    names = Counter(
        node.name
        for file in files
        for node in ast.parse(file.read_text()).body
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert names["Ticket"] == 1
    assert {name for name, count in names.items() if count > 1} - OF_EVERY_SERVICE == set()
