"""Errors of YAML documents.

- `DocumentError`: the document is invalid. A subclass for each kind of document.

A model's validator raises what `field_error` or `field_errors` returns. Their messages read "what is wrong; what to
write instead".
"""

from collections.abc import Iterable, Sequence

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

FieldPath = tuple[str | int, ...]
"""Where a value is in its document, such as `("roles", "account_manager", 0, "person")`."""

FieldProblem = tuple[FieldPath, object, str]
"""A path, the value found there, and the message."""

FIELD_ERROR = "field"
"""The pydantic error type of the errors below."""


class DocumentError(ValueError):
    """A document is invalid. `problems` has one line for each error: `FILE:LINE: FIELD: message`.

    `places` has only `FILE:LINE: FIELD` of each: messages show values of the document.
    """

    def __init__(self, problems: Sequence[str], places: Sequence[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
        self.places = tuple(places)


def field_error(path: FieldPath, value: object, message: str) -> ValidationError:
    """The error that a model's validator raises about one of its fields; `path` starts at the model."""
    return field_errors([(path, value, message)])


def field_errors(problems: Iterable[FieldProblem]) -> ValidationError:
    """Like `field_error`, for several fields at once."""
    details = [
        InitErrorDetails(
            type=PydanticCustomError(FIELD_ERROR, "{message}", {"message": message}), loc=path, input=value
        )
        for path, value, message in problems
    ]
    return ValidationError.from_exception_data("invalid document", details, input_type="json")
