"""A model whose JSON Schema takes the description of a field from the docstring below it.

pydantic's own `use_attribute_docstrings` parses the source when the class is made: a tenth of a service's start.
"""

import ast
from inspect import cleandoc, getsource
from itertools import pairwise
from textwrap import dedent

from pydantic import BaseModel, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema


class DescribedModel(BaseModel):
    """A model whose fields may be described by docstrings below them."""

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler(schema)
        properties = handler.resolve_ref_schema(described).get("properties", {})
        for name, text in _docstrings(cls).items():
            properties[cls.model_fields[name].alias or name].setdefault("description", text)
        return described


def _docstrings(model: type[BaseModel]) -> dict[str, str]:
    """The docstring of each field that has one, by the field's name."""
    found: dict[str, str] = {}
    for base in reversed(model.__mro__):
        if issubclass(base, DescribedModel) and base is not DescribedModel:
            (definition,) = ast.parse(dedent(getsource(base))).body
            assert isinstance(definition, ast.ClassDef)
            for field, below in pairwise(definition.body):
                match field, below:
                    case ast.AnnAssign(target=ast.Name(id=name)), ast.Expr(value=ast.Constant(value=str(text))):
                        found[name] = cleandoc(text)
    return {name: text for name, text in found.items() if name in model.model_fields}
