"""Rejects query parameters that a route does not declare, and repeated ones that take a single value.

It is a dependency of the whole application, so that no route can lack it
(docs/decisions/0027-unknown-query-parameters.md).
"""

from collections.abc import Iterator
from typing import Any, Final, get_args, get_origin

from fastapi import Depends, Request
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from tocsin.runtime.http.authentication import check_key
from tocsin.runtime.http.problems import invalid_fields
from tocsin.validation import FieldError

_LONGEST_NAME: Final = 200
_LISTS: Final = (list, tuple, set, frozenset)


async def reject_unknown_parameters(request: Request) -> None:
    """Raises Problem 422 that names each wrong parameter; a missing or wrong API key is reported before that."""
    route = request.scope["route"]
    if not request.query_params or ANY_QUERY in route.dependencies:
        return
    takes_many = dict(_parameters(route.dependant))
    known = f"known are {', '.join(sorted(takes_many))}" if takes_many else "this call has no query parameters"
    names = [name for name, _ in request.query_params.multi_items()]
    errors = [
        FieldError(
            field=name[:_LONGEST_NAME],
            message="is given more than once" if name in takes_many else f"is not known here; {known}",
        )
        for name in dict.fromkeys(names)
        if name not in takes_many or (names.count(name) > 1 and not takes_many[name])
    ]
    if errors:
        await check_key(route.dependant, request)
        raise invalid_fields(errors)


async def _accept_any_query() -> None:
    """Marks a route; does nothing."""


ANY_QUERY: Final = Depends(_accept_any_query)
"""In a route's `dependencies`: ignore query parameters, because others than its caller may add some to its address."""


def _parameters(dependant: Dependant) -> Iterator[tuple[str, bool]]:
    """The query parameters of a route by their names in the address, and whether each may be repeated."""
    for field in dependant.query_params:
        annotation = field.field_info.annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            for name, info in annotation.model_fields.items():
                yield info.alias or name, _is_list(info.annotation)
        else:
            yield field.alias, _is_list(annotation)
    for each in dependant.dependencies:
        yield from _parameters(each)


def _is_list(annotation: Any) -> bool:
    return (get_origin(annotation) or annotation) in _LISTS or any(map(_is_list, get_args(annotation)))
