"""YAML read into a model, with every error at its line: `FILE:LINE: FIELD: what is wrong; what would be right`."""

import json
from collections.abc import Iterable
from typing import Any, NoReturn, TypeVar

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tocsin.yaml_document.errors import DocumentError, FieldPath
from tocsin.yaml_document.explanation import explain
from tocsin.yaml_document.field_types import YamlModel

_LARGEST = 1_000_000
_DEEPEST = 20
_KINDS = ("map", "seq", "str", "int", "float", "bool", "null", "timestamp")

Model = TypeVar("Model", bound=YamlModel)


def load_document(text: str, name: str, model: type[Model], error: type[DocumentError]) -> Model:
    """The document `text` as a `model`; `name` is what errors call it. Raises `error`."""
    document = _Document(name, error, next(iter(model.model_fields)))
    data = document.plain(document.compose(text), ())
    document.refuse_if_wrong()
    try:
        # As JSON, so that a policy out of a file and one out of a database are read by the same rules.
        return model.model_validate_json(json.dumps(data))
    except ValidationError as invalid:
        schema = model.model_json_schema()
        for problem in invalid.errors(include_url=False):
            document.problem(*explain(problem, schema))
    document.refuse_if_wrong()
    raise AssertionError("an invalid document has problems")


def locate_problems(text: str, name: str, problems: Iterable[tuple[FieldPath, str]]) -> list[str]:
    """`FILE:LINE: FIELD: message` for what was found wrong with a document that `read` took, in the order of lines."""
    document = _Document(name, DocumentError, "")
    document.plain(document.compose(text), ())
    for place, message in problems:
        document.problem(place, message)
    return document.told()


class _Document:
    """The nodes of a document made plain, and where each of them stood. `first` is the field that it may begin with."""

    def __init__(self, name: str, error: type[DocumentError], first: str) -> None:
        self._name = name
        self._error = error
        self._first = first
        self._lines: dict[FieldPath, int] = {}
        self._seen: set[int] = set()
        self._problems: list[tuple[int, str]] = []

    def compose(self, text: str) -> Node:
        if len(text) > _LARGEST:
            self._refuse(1, f"has {len(text)} characters; keep it below {_LARGEST}")
        try:
            node = YAML(typ="safe", pure=True).compose(text)
        except MarkedYAMLError as broken:
            mark = broken.problem_mark or broken.context_mark
            self._refuse(mark.line + 1 if mark else 1, f"is no YAML: {broken.problem or broken.context}; mend it there")
        except (YAMLError, ValueError) as broken:
            self._refuse(1, f"is no YAML: {str(broken).splitlines()[0]}; mend it")
        except RecursionError:
            self._refuse(1, "is nested too deeply; write it flat")
        if not isinstance(node, MappingNode):
            what = "is empty" if node is None else "is no mapping"
            self._refuse(1, f"{what}; write fields and values, `{self._first}:` first")
        return node

    def plain(self, node: Node, place: FieldPath) -> Any:
        line = node.start_mark.line + 1
        self._lines.setdefault(place, line)
        if id(node) in self._seen:
            self._problems.append((line, f"{format_path(place)}: repeats an anchor; write it out"))
            return None
        self._seen.add(id(node))
        if len(place) > _DEEPEST:
            self._problems.append((line, f"{format_path(place)}: is nested too deeply; write it flat"))
            return None
        kind = str(node.tag).removeprefix("tag:yaml.org,2002:")
        if kind not in _KINDS:
            self._problems.append((line, f"{format_path(place)}: `{node.tag}` is a tag; write the plain value"))
            return None
        if isinstance(node, MappingNode):
            return self._mapping(node, place)
        if isinstance(node, SequenceNode):
            return [self.plain(item, (*place, index)) for index, item in enumerate(node.value)]
        return _scalar(node.value, kind)

    def _mapping(self, node: MappingNode, place: FieldPath) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key, value in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                self._problems.append((line, f"{format_path(place)}: a field's name is no text; write a plain name"))
                continue
            field = (*place, key.value)
            if key.value in mapping:
                self._problems.append(
                    (line, f"{format_path(field)}: stands on line {self._lines[field]} already; keep one")
                )
                continue
            self._lines[field] = line
            mapping[key.value] = self.plain(value, field)
        return mapping

    def problem(self, place: FieldPath, message: str) -> None:
        """Note what is wrong at that place, or, where nothing stands there, at what it belongs to."""
        at: FieldPath = ()
        for part in place:
            at = (*at, part if (*at, part) in self._lines else str(part))
        known = next(at[:length] for length in range(len(at), -1, -1) if at[:length] in self._lines)
        self._problems.append((self._lines[known], f"{format_path(at)}: {message}"))

    def refuse_if_wrong(self) -> None:
        if self._problems:
            raise self._error(self.told())

    def told(self) -> list[str]:
        return [f"{self._name}:{line}: {text}" for line, text in sorted(self._problems, key=lambda p: p[0])]

    def _refuse(self, line: int, message: str) -> NoReturn:
        raise self._error([f"{self._name}:{line}: {message}"])


def format_path(place: FieldPath) -> str:
    """A place as people write it: `calendars.default.holidays.added[2]`."""
    text = ""
    for part in place:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text or "the document"


def _scalar(text: str, kind: str) -> Any:
    if kind == "null":
        return None
    if kind == "bool":
        return text.lower() == "true"
    if kind == "int" and text.lstrip("+-").isdecimal() and len(text) < 20:
        return int(text)
    if kind == "float":
        return _number(text)
    return text


def _number(text: str) -> float | str:
    try:
        number = float(text.replace("_", ""))
    except ValueError:
        return text
    return number if abs(number) < 1e300 else text
