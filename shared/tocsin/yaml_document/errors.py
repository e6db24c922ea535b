"""How a written document is refused: at the place that is wrong, saying what would be right."""

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

FieldPath = tuple[str | int, ...]


def field_error(place: FieldPath, value: object, message: str) -> ValidationError:
    """What a model's validator raises about one of its fields; `message` is "what is wrong; what would be right"."""
    return field_errors([(place, value, message)])


def field_errors(problems: list[tuple[FieldPath, object, str]]) -> ValidationError:
    """As `refused`, for several places at once."""
    details = [
        InitErrorDetails(type=PydanticCustomError("refused", "{message}", {"message": message}), loc=place, input=value)
        for place, value, message in problems
    ]
    return ValidationError.from_exception_data("refused", details, input_type="json")


class DocumentError(ValueError):
    """A written document is refused; `problems` has a line for each thing that is wrong."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)
