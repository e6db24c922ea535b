"""How a written document is refused: at the place that is wrong, saying what would be right."""

from pydantic import ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

Place = tuple[str | int, ...]


def refused(place: Place, value: object, message: str) -> ValidationError:
    """What a model's validator raises about one of its fields; `message` is "what is wrong; what would be right"."""
    return all_refused([(place, value, message)])


def all_refused(problems: list[tuple[Place, object, str]]) -> ValidationError:
    """As `refused`, for several places at once."""
    details = [
        InitErrorDetails(type=PydanticCustomError("refused", "{message}", {"message": message}), loc=place, input=value)
        for place, value, message in problems
    ]
    return ValidationError.from_exception_data("refused", details, input_type="json")
