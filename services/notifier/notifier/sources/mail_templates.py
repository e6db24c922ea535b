"""Mail templates from files: the built-in ones, and a deployment's own, which take their place (docs/mail.md)."""

from functools import cache
from importlib import resources
from pathlib import Path

from tocsin.runtime.errors import FileReadError
from tocsin.runtime.process.regular_file import read_text

from notifier.domain.rendering import TEMPLATES, MailTemplates
from notifier.errors import MailTemplateError


@cache
def built_in_templates() -> MailTemplates:
    """The templates of this package."""
    return MailTemplates(_built_in())


def load_templates(folder: Path) -> MailTemplates:
    """The templates of `folder`, and the built-in ones for what it lacks. Later edits take effect at the next start.

    The built-in ones stay available as `built-in/NAME`, to be extended. Raises MailTemplateError for a file that cannot
    be read or compiled, or that no mail would use.
    """
    built_in = _built_in()
    extendable = {f"built-in/{name}": text for name, text in built_in.items()}
    return MailTemplates(built_in | extendable | _own(folder), is_own=True)


def _built_in() -> dict[str, str]:
    folder = resources.files("notifier") / "templates"
    return {name: (folder / name).read_text("utf-8") for name in TEMPLATES}


def _own(folder: Path) -> dict[str, str]:
    files: dict[str, str] = {}
    for path in sorted(folder.rglob("*")):
        name = str(path.relative_to(folder))
        if path.is_dir() or name.startswith("."):
            continue
        if name not in TEMPLATES and not name.startswith("_"):
            raise MailTemplateError(f"{name} is not a mail template; those are {', '.join(TEMPLATES)}")
        try:
            files[name] = read_text(path)
        except FileReadError as error:
            raise MailTemplateError(f"{name} cannot be read: {error.reason}") from None
    return files
