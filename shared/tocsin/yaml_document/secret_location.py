"""Where a document's secrets are: never in the document."""

from collections.abc import Callable
from typing import Annotated, Self

from pydantic import Field, model_validator

from tocsin.yaml_document.errors import field_error
from tocsin.yaml_document.field_types import YamlModel

Variable = Annotated[str, Field(pattern=r"^[A-Z][A-Z0-9_]{0,99}$", examples=["TOCSIN_HOOK_CONNECTWISE"])]


class SecretLocation(YamlModel):
    """One secret: an environment variable, or the content of a file without surrounding white space."""

    secret_env: Variable | None = None
    secret_file: Annotated[str, Field(min_length=1, max_length=1000)] | None = None

    @model_validator(mode="after")
    def _one_place(self) -> Self:
        if (self.secret_env is None) == (self.secret_file is None):
            raise field_error((), None, "must name one secret; write either secret_env or secret_file")
        return self

    @property
    def name(self) -> str:
        """The variable or the path, for messages."""
        return self.secret_env or self.secret_file or ""


ReadSecret = Callable[[SecretLocation], bytes | None]
"""Reads a secret; None if it is missing or empty."""
