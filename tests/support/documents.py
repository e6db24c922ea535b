"""The anchors of the documents."""

import re
from functools import cache
from pathlib import Path


@cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors of a Markdown file: its explicit ones, and one for each heading as GitHub makes it."""
    if not path.exists():
        return frozenset()
    text = path.read_text(encoding="utf-8")
    headings = re.findall(r"^#+ (.+)$", text, re.M)
    return frozenset(re.findall(r'<a id="([\w-]+)">', text)) | {
        re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings
    }
