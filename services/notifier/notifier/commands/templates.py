"""`python -m notifier check-templates`: try mail templates before the service uses them."""

from pathlib import Path
from typing import Annotated

import typer
from tocsin.runtime.errors import ConfigurationError
from tocsin.runtime.process.settings import EnvironmentSettings, load

from notifier.service import configured_templates


class TemplateSettings(EnvironmentSettings):
    """The settings of `check-templates`."""

    mail_templates: Path | None = None


def check_templates(
    folder: Annotated[
        Path | None,
        typer.Argument(help="A folder of templates; default: TOCSIN_MAIL_TEMPLATES.", exists=True, file_okay=False),
    ] = None,
) -> None:
    """Render every kind of mail with the templates, as the service does at start. Exits 1 if one fails."""
    path = folder or load(TemplateSettings).mail_templates
    try:
        configured_templates(path)
    except ConfigurationError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(1) from None
    typer.echo(f"{path or 'The built-in templates'}: every kind of mail renders.")
