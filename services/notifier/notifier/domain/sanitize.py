"""Makes text from outside (tickets, names, SMTP replies) safe for lines of a mail and for a header. Pure."""

from tocsin.characters import one_line


def first_lines(text: str, *, lines: int, limit: int) -> list[str]:
    """The first `lines` lines of `text` that are not blank, each as `one_line` makes it, and `…` if more follow."""
    # Cut generously first, as in `one_line`.
    found = [line for raw in text[: lines * limit * 4].splitlines() if (line := one_line(raw, limit))]
    return [*found[:lines], "…"] if len(found) > lines else found


def header_text(text: str, limit: int) -> str:
    """As `one_line`, without encoded words: CPython would write `=?utf-8?q?a=0D=0ABcc=3A?=` as an additional header."""
    return one_line(text, limit).replace("=?", "= ?")[:limit].rstrip()
