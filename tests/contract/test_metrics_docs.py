"""docs/metrics.md lists every metric with its labels, and each names a test that mentions it."""

import re
from pathlib import Path

import pytest
from support.exported_metrics import exported_metrics

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| `(\w+)(?:\{([\w,]+)\})?` \| (.+?) \| \[(\w+)\]\(\.\./(\S+)\) \|$", re.MULTILINE)
ROWS = ROW.findall((ROOT / "docs/metrics.md").read_text())


def test_every_metric_is_listed_once_with_its_labels() -> None:
    listed = [(name, frozenset(labels.split(",")) if labels else frozenset()) for name, labels, *_ in ROWS]
    assert len(dict(listed)) == len(listed)
    assert dict(listed) == exported_metrics()


def test_no_row_is_malformed() -> None:
    rows = re.findall(r"^\| `sla_", (ROOT / "docs/metrics.md").read_text(), re.MULTILINE)
    assert len(rows) == len(ROWS)


@pytest.mark.parametrize(
    ("name", "test", "file"), [(row[0], row[3], row[4]) for row in ROWS], ids=[row[0] for row in ROWS]
)
def test_the_named_test_is_about_the_metric(name: str, test: str, file: str) -> None:
    text = (ROOT / file).read_text()
    function = re.search(rf"^(?:async )?def {test}\(.*?(?=^(?:async )?def |^@|\Z)", text, re.MULTILINE | re.DOTALL)
    assert function, f"{file} has no {test}"
    assert name in text
