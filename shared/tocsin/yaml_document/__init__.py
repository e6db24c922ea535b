"""YAML documents read into models, with every error at its line."""

from tocsin.yaml_document.errors import DocumentError, FieldPath, field_error, field_errors
from tocsin.yaml_document.field_types import (
    DaySpan,
    Duration,
    Identifier,
    Name,
    OpeningHours,
    TextValue,
    YamlModel,
    Zone,
    windows_by_weekday,
)
from tocsin.yaml_document.reader import format_path, load_document, locate_problems

__all__ = [
    "DaySpan",
    "DocumentError",
    "Duration",
    "FieldPath",
    "Identifier",
    "Name",
    "OpeningHours",
    "TextValue",
    "YamlModel",
    "Zone",
    "field_error",
    "field_errors",
    "format_path",
    "load_document",
    "locate_problems",
    "windows_by_weekday",
]
