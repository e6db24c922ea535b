"""The templates of mails: ours, and those of a deployment that stand before them."""

import re
import traceback
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any, Final

from jinja2 import (
    BaseLoader,
    ChoiceLoader,
    Environment,
    FileSystemLoader,
    PackageLoader,
    PrefixLoader,
    StrictUndefined,
    Template,
    TemplateError,
    TemplateSyntaxError,
)
from jinja2.environment import TemplateModule
from markupsafe import Markup, escape

WORDS: Final = "words.j2"
TEXT: Final = "mail.txt.j2"
HTML: Final = "mail.html.j2"
TEMPLATES: Final = (WORDS, TEXT, HTML)
"""The files that a deployment may replace, any of them. Files that only those use begin with an underscore."""


_DATE: Final = re.compile(r"\b\d{4}-\d{2}-\d{2}\b")


class TemplateFailed(Exception):
    """A template that cannot be compiled or rendered; str() names the file, where it is known the line, and why."""


class Templates:
    """Every name in a template must be known, and what HTML holds is escaped.

    `folder` has files that replace ours of the same name; ours stay reachable as `built-in/NAME`, to be extended. It is
    read once, here: what is edited later was tried by nobody. Raises TemplateFailed for a file of it that is no
    template, or that no mail would ever use.
    """

    def __init__(self, folder: Path | None = None) -> None:
        ours = PackageLoader("notifier", "templates")
        loaders: list[BaseLoader] = [ours, PrefixLoader({"built-in": ours})]
        self.folder = folder
        self._environment = Environment(
            loader=ChoiceLoader([FileSystemLoader(folder), *loaders] if folder else loaders),
            undefined=StrictUndefined,
            autoescape=_is_escaped,
            keep_trailing_newline=True,
            auto_reload=False,
        )
        self._environment.filters["unbroken"] = unbroken
        if folder:
            self._compile(folder)

    @cached_property
    def words(self) -> Any:
        """The macros of `words.j2`, to be called with what they tell of."""
        return self._environment.get_template(WORDS).module

    def rendered(self, name: str, letter: object) -> str:
        """The template `name` filled in with `letter`."""
        return self._environment.get_template(name).render(letter=letter)

    def _compile(self, folder: Path) -> None:
        names = [str(path.relative_to(folder)) for path in sorted(folder.rglob("*")) if not path.is_dir()]
        for name in dict.fromkeys((*(name for name in names if not name.startswith(".")), *TEMPLATES)):
            if name not in TEMPLATES and not name.startswith("_"):
                raise TemplateFailed(f"{name} is no template of a mail; those are {', '.join(TEMPLATES)}")
            try:
                self._environment.get_template(name)
            except Exception as error:
                raise TemplateFailed(failure(error)) from error


def _is_escaped(name: str | None) -> bool:
    """Whatever is not plainly for text is escaped: a file of a deployment's own may be part of a page."""
    return name is None or not name.endswith((WORDS, ".txt.j2"))


def unbroken(line: str) -> Markup:
    """`line` as HTML in which no date is broken at its hyphens."""
    return Markup(_DATE.sub(r'<span style="white-space:nowrap">\g<0></span>', str(escape(line))))


BUILT_IN: Final = Templates()


def failure(error: Exception) -> str:
    """What went wrong, with the template's name and line where it is the template that failed."""
    what = (error.message if isinstance(error, TemplateError) else None) or str(error) or type(error).__name__
    if isinstance(error, AttributeError) and isinstance(error.obj, TemplateModule):
        return f"{WORDS} has no macro `{error.name}`"
    if isinstance(error, TemplateSyntaxError):
        return f"{error.name or 'a template'}, line {error.lineno}: {what}"
    places = list(_places(error))
    return f"{places[-1]}: {what}" if places else what


def _places(error: Exception) -> Iterator[str]:
    """Where in templates it happened, the innermost last; a line of a macro is one of Python until it is translated."""
    for frame, line in traceback.walk_tb(error.__traceback__):
        template = frame.f_globals.get("__jinja_template__")
        if isinstance(template, Template):
            yield f"{template.name}, line {template.get_corresponding_lineno(line)}"
        elif frame.f_code.co_filename.endswith(".j2"):
            yield f"{Path(frame.f_code.co_filename).name}, line {line}"
