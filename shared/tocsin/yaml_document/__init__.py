"""YAML documents (policy, directory, integrations, webhooks) read into models, with every error at its line. No I/O."""

from tocsin.yaml_document.errors import DocumentError, FieldPath, FieldProblem, field_error, field_errors
from tocsin.yaml_document.field_types import (
    DaySpan,
    Duration,
    Identifier,
    Name,
    OpeningHours,
    Phone,
    TextValue,
    YamlModel,
    Zone,
    windows_by_weekday,
)
from tocsin.yaml_document.reader import load_document, locate_problems
from tocsin.yaml_document.secret_location import ReadSecret, SecretLocation

__all__ = [
    "DaySpan",
    "DocumentError",
    "Duration",
    "FieldPath",
    "FieldProblem",
    "Identifier",
    "Name",
    "OpeningHours",
    "Phone",
    "ReadSecret",
    "SecretLocation",
    "TextValue",
    "YamlModel",
    "Zone",
    "field_error",
    "field_errors",
    "load_document",
    "locate_problems",
    "windows_by_weekday",
]
