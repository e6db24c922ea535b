"""Reads a YAML document into a model and reports every error with its line.

An error reads `FILE:LINE: FIELD: what is wrong; what to write instead`.
"""

import json
from collections.abc import Iterable, Sequence
from typing import Any, Final, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tocsin.validation import format_path
from tocsin.yaml_document.errors import DocumentError, FieldPath
from tocsin.yaml_document.field_types import YamlModel
from tocsin.yaml_document.messages import explain

_MAX_LENGTH: Final = 1_000_000
_MAX_DEPTH: Final = 20
_TAGS: Final = ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")

Model = TypeVar("Model", bound=YamlModel)
_THE_DOCUMENT: Final = "the document"
_Located = tuple[int, str, str]
"""A line, the field there, and what is wrong, which begins with the field."""


def load_document(text: str, name: str, model: type[Model], error: type[DocumentError]) -> Model:
    """Return the document `text` as a `model`. `name` is the file name in errors. Raises `error`."""
    try:
        document = _Document(text, next(iter(model.model_fields)))
        return _validated(document, model)
    except _InvalidError as invalid:
        places = dict.fromkeys(f"{name}:{line}: {field}" for line, field, _ in sorted(invalid.problems))
        raise error(_lines(name, invalid.problems), tuple(places)) from None


def locate_problems(text: str, name: str, problems: Iterable[tuple[FieldPath, str]]) -> list[str]:
    """Return `FILE:LINE: FIELD: message` for problems found in a valid document, sorted by line."""
    document = _Document(text, "")
    return _lines(name, [document.located(path, message) for path, message in problems])


class _InvalidError(Exception):
    def __init__(self, problems: Sequence[_Located]) -> None:
        self.problems = problems


class _Document:
    """The plain data of a document, and the line of each field. Raises _InvalidError if the text is not plain YAML.

    It reads ruamel's nodes, not the data that ruamel makes of them: nodes have lines, keep repeated keys, and keep the
    text of scalars.
    """

    def __init__(self, text: str, first_field: str) -> None:
        self._lines: dict[FieldPath, int] = {}
        self._nodes: set[int] = set()
        self._problems: list[_Located] = []
        self.data = self._plain(_compose(text, first_field), ())
        if self._problems:
            raise _InvalidError(self._problems)

    def located(self, path: FieldPath, message: str) -> _Located:
        """The line of `path`, or of the nearest field around it, the field, and the message with the field's name."""
        known: FieldPath = ()
        line = self._lines[()]
        for part in path:
            known = (*known, part if (*known, part) in self._lines else str(part))
            line = self._lines.get(known, line)
        return line, _format(known), f"{_format(known)}: {message}"

    def _plain(self, node: Node, path: FieldPath) -> Any:
        self._lines.setdefault(path, node.start_mark.line + 1)
        tag = str(node.tag).removeprefix("tag:yaml.org,2002:")
        if id(node) in self._nodes:
            return self._reject(node, path, "YAML aliases are not supported; write the value out")
        self._nodes.add(id(node))
        if len(path) > _MAX_DEPTH:
            return self._reject(node, path, f"is nested more than {_MAX_DEPTH} levels deep; flatten it")
        if tag not in _TAGS:
            return self._reject(node, path, f"YAML tags such as `{node.tag}` are not supported; write a plain value")
        if isinstance(node, MappingNode):
            return self._mapping(node, path)
        if isinstance(node, SequenceNode):
            return [self._plain(item, (*path, index)) for index, item in enumerate(node.value)]
        return _scalar(node.value, tag)

    def _mapping(self, node: MappingNode, path: FieldPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            if not isinstance(key, ScalarNode):
                self._reject(key, path, "has a field name that is not text; write a plain name")
                continue
            field = (*path, key.value)
            if key.value in mapping:
                self._reject(key, field, f"duplicates line {self._lines[field]}; keep one of them")
                continue
            self._lines[field] = key.start_mark.line + 1
            mapping[key.value] = self._plain(value, field)
        return mapping

    def _reject(self, node: Node, path: FieldPath, message: str) -> None:
        self._problems.append((node.start_mark.line + 1, _format(path), f"{_format(path)}: {message}"))


def _compose(text: str, first_field: str) -> MappingNode:
    if len(text) > _MAX_LENGTH:
        raise _InvalidError(
            [(1, _THE_DOCUMENT, f"the document has {len(text)} characters; the limit is {_MAX_LENGTH}")]
        )
    try:
        node = YAML(typ="safe", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        raise _InvalidError(
            [(line, _THE_DOCUMENT, f"invalid YAML: {error.problem or error.context}; correct it")]
        ) from None
    except (YAMLError, ValueError) as error:
        raise _InvalidError([(1, _THE_DOCUMENT, f"invalid YAML: {str(error).splitlines()[0]}; correct it")]) from None
    except RecursionError:
        raise _InvalidError([(1, _THE_DOCUMENT, "the document is nested too deeply; flatten it")]) from None
    if not isinstance(node, MappingNode):
        wrong = "is empty" if node is None else "is not a mapping"
        raise _InvalidError(
            [(1, _THE_DOCUMENT, f"the document {wrong}; write fields and values, starting with `{first_field}:`")]
        )
    return node


def _validated(document: _Document, model: type[Model]) -> Model:
    try:
        # As JSON, so that a file and a stored document are validated by the same rules.
        return model.model_validate_json(json.dumps(document.data))
    except ValidationError as invalid:
        schema = model.model_json_schema()
        found = [explain(error, schema) for error in invalid.errors(include_url=False)]
        raise _InvalidError([document.located(path, message) for path, message in found]) from None


def _lines(name: str, problems: Sequence[_Located]) -> list[str]:
    return [f"{name}:{line}: {text}" for line, _, text in sorted(problems, key=lambda problem: problem[0])]


def _format(path: FieldPath) -> str:
    return format_path(path) or _THE_DOCUMENT


def _scalar(text: str, tag: str) -> Any:
    if tag == "null":
        return None
    if tag == "bool":
        return text.lower() == "true"
    if tag == "int" and text.lstrip("+-").isdecimal() and len(text) < 20:
        return int(text)
    if tag == "float":
        return _float(text)
    return text


def _float(text: str) -> float | str:
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return text
    return number if abs(number) < 1e300 else text
