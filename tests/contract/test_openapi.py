"""The /openapi.json of every service is valid OpenAPI 3.1 and documents every call of the contract."""

import json
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx
import pytest
from openapi_schema_validator import OAS31Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from referencing import Registry
from referencing.jsonschema import DRAFT202012
from support.service_apps import build_service
from tocsin.runtime.http.api_keys import KeyFile, write_keys

ROOT = Path(__file__).parents[2]
SECRETS_OF_THEIR_OWN = {"/ack/{token}", "/v1/hooks/email/{tenant}", "/v1/hooks/{provider}/{tenant}"}
PYDANTICS = {"ge", "gt", "le", "lt", "max_length", "min_length"}
PUBLIC = {"/livez", "/readyz", "/metrics"} | SECRETS_OF_THEIR_OWN
EVERYWHERE = {
    "get /livez",
    "get /readyz",
    "get /metrics",
    "get /v1/dead-letters",
    "get /v1/dead-letters/{letter_id}",
    "post /v1/dead-letters/{letter_id}/replay",
}
CALLS = {
    "intake": {
        "post /v1/tickets",
        "post /v1/tickets/batch",
        "post /v1/tickets/{ticket_id}/events",
        "post /v1/tickets/by-external/{source}/{external_id}/events",
        "get /v1/tickets/{ticket_id}",
        "get /v1/tickets/by-external/{source}/{external_id}",
        "get /v1/tickets",
        "get /ack/{token}",
        "post /ack/{token}",
        "post /v1/hooks/{provider}/{tenant}",
        "post /v1/hooks/email/{tenant}",
        "get /v1/hooks/unmapped",
        "post /v1/hooks/unmapped/{delivery_id}/replay",
    },
    "sla-timer": {
        "get /v1/tickets/{ticket_id}/clocks",
        "get /v1/tickets/by-external/{source}/{external_id}/clocks",
        "post /v1/clocks",
        "post /v1/simulate",
        "get /v1/compliance",
        "get /v1/outcomes",
        "get /v1/terms",
    },
    "escalator": {"get /v1/escalations", "get /v1/tickets/{ticket_id}/escalation", "post /v1/ladders"},
    "notifier": {
        "get /v1/deliveries",
        "get /v1/deliveries/{delivery_id}",
        "post /v1/deliveries/{delivery_id}/redeliver",
        "post /v1/bounces",
        "get /v1/bounces",
        "get /v1/bounces/{report_id}",
        "get /v1/on-call",
        "get /v1/on-call/calendar.ics",
    },
    "board": {
        "get /v1/at-risk",
        "get /v1/deadlines.ics",
        "get /v1/tickets/by-external/{source}/{external_id}",
        "get /v1/webhook-deliveries",
        "get /v1/webhook-deliveries/{delivery_id}",
        "post /v1/webhook-deliveries/{delivery_id}/redeliver",
    },
}
ERRORS_OF_THEIR_OWN = {
    "post /v1/tickets": ("409",),
    "post /v1/tickets/{ticket_id}/events": ("409",),
    "post /v1/tickets/by-external/{source}/{external_id}/events": ("409",),
    "get /ack/{token}": ("409", "410", "503"),
    "post /ack/{token}": ("409", "410", "503"),
    "post /v1/hooks/{provider}/{tenant}": ("401", "503"),
    "post /v1/hooks/email/{tenant}": ("401", "503"),
    "post /v1/deliveries/{delivery_id}/redeliver": ("409",),
    "post /v1/dead-letters/{letter_id}/replay": ("409",),
}
"""Errors of single calls, besides those that any such call may answer."""

each_service = pytest.mark.parametrize("service", CALLS)


@pytest.fixture
async def described(tmp_path: Path) -> Callable[[str], Any]:
    """What a service answers at /openapi.json. No database is asked for that."""
    write_keys(tmp_path / "keys.yaml", KeyFile())

    async def get(service: str) -> Any:
        app = build_service(service, "postgresql+asyncpg://nobody@127.0.0.1:1/nothing", tmp_path).app
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://service") as client:
            answer = await client.get("/openapi.json")
        return answer.json()

    return get


@each_service
async def test_it_is_openapi_3_1(service: str, described: Callable[[str], Any]) -> None:
    found = await described(service)
    assert found["openapi"].startswith("3.1")
    OpenAPIV31SpecValidator(found).validate()


@each_service
async def test_no_text_refers_to_a_file_of_the_repository(service: str, described: Callable[[str], Any]) -> None:
    assert "docs/" not in json.dumps(await described(service)).replace('"/docs', "")


@each_service
async def test_every_call_is_documented(service: str, described: Callable[[str], Any]) -> None:
    assert set(operations(await described(service))) >= EVERYWHERE | CALLS[service]


@each_service
async def test_every_call_but_health_requires_a_key_and_answers_errors_as_problems(
    service: str, described: Callable[[str], Any]
) -> None:
    for name, operation in operations(await described(service)).items():
        assert bool(operation.get("security")) == (name.partition(" ")[2] not in PUBLIC), name
        assert operation.get("summary"), name
        assert "application/problem+json" in operation["responses"]["4XX"]["content"], name


@each_service
async def test_every_call_and_every_error_has_a_description_and_an_example(
    service: str, described: Callable[[str], Any]
) -> None:
    document = await described(service)
    named = document.get("components", {}).get("schemas", {})
    lacking = [lack for name, operation in operations(document).items() for lack in lacks(name, operation, named)]
    assert lacking == []


@each_service
async def test_examples_match_their_schemas(service: str, described: Callable[[str], Any]) -> None:
    document = json.loads(json.dumps(await described(service)).replace('"#/components', '"urn:api#/components'))
    registry: Registry[Any] = Registry().with_resource("urn:api", DRAFT202012.create_resource(document))
    for name, operation in operations(document).items():
        for where, media in contents(operation):
            validator = OAS31Validator(media.get("schema", {}), registry=registry)
            for example in examples(media):
                errors = [error.message for error in validator.iter_errors(example)]
                assert errors == [], f"{name}: {where}"


async def test_the_documented_command_for_a_typed_client_is_pinned_and_its_example_imports_exist(
    described: Callable[[str], Any],
) -> None:
    page = (ROOT / "docs/integrations/rest.md").read_text().split("\n## A typed client\n")[1]
    document = await described("intake")
    command = (
        r"^    uvx openapi-python-client==\d+\.\d+\.\d+ generate --url \"\$INTAKE/openapi\.json\" --output-path (\w+) "
    )
    (package,) = re.findall(command, page, re.MULTILINE)
    assert (Path(sys.executable).parent / "uvx").exists()
    ((tag, call),) = re.findall(rf"^    from {package}\.api\.(\w+) import (\w+)$", page, re.MULTILINE)
    (operation,) = [found for found in operations(document).values() if found["operationId"] == call]
    assert operation["tags"] == [tag]
    assert {"source"} <= {parameter["name"] for parameter in operation["parameters"]}
    (model,) = re.findall(rf"^    from {package}\.models import (\w+)$", page, re.MULTILINE)
    schema = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert schema == {"$ref": f"#/components/schemas/{model}"}


@each_service
async def test_no_schema_has_keywords_that_json_schema_does_not_know(
    service: str, described: Callable[[str], Any]
) -> None:
    """pydantic writes its own keywords for a bound that follows a custom validator."""
    assert PYDANTICS & set(names(await described(service))) == set()


@each_service
async def test_every_link_points_to_a_call_and_its_parameters(service: str, described: Callable[[str], Any]) -> None:
    document = await described(service)
    for name, operation in operations(document).items():
        for answer in operation["responses"].values():
            for link in answer.get("links", {}).values():
                path, method = link["operationRef"].removeprefix("#/paths/").rsplit("/", 1)
                target = document["paths"][path.replace("~1", "/")][method]
                assert link["parameters"].keys() <= {each["name"] for each in target["parameters"]}, name


def names(part: Any) -> Iterator[str]:
    """Every key of every object in the document."""
    if isinstance(part, dict):
        yield from part
    for inner in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        yield from names(inner)


def lacks(name: str, operation: Mapping[str, Any], schemas: Mapping[str, Any]) -> Iterator[str]:
    """What the documentation of a call lacks. `schemas` are the named schemas."""
    for words in ("summary", "description"):
        if not operation.get(words):
            yield f"{name}: {words}"
    for parameter in operation.get("parameters", ()):
        if not (parameter.get("description") or parameter["schema"].get("description")):
            yield f"{name}: description of {parameter['name']}"
    for where, media in contents(operation):
        named = schemas.get(media.get("schema", {}).get("$ref", "").rpartition("/")[2], {})
        if not list(examples(media)) and not named.get("examples"):
            yield f"{name}: example of {where}"
    for status, response in operation["responses"].items():
        if not response.get("description") or response["description"] == "Successful Response":
            yield f"{name}: description of {status}"
        if (
            (name, status) != ("get /readyz", "503")
            and status[0] in "45"
            and "application/problem+json" not in response.get("content", {})
        ):
            yield f"{name}: {status} is not a problem response"
    yield from (f"{name}: {status}" for status in expected(name, operation) if status not in operation["responses"])


def expected(name: str, operation: Mapping[str, Any]) -> Iterator[str]:
    """The errors that such a call must document."""
    if operation.get("security"):
        yield from ("401", "403", "429", "503")
    if "{" in name:
        yield "404"
    if "requestBody" in operation and name.startswith("post /v1/"):
        yield from ("400", "413", "415", "422")
    if any(parameter["in"] == "query" for parameter in operation.get("parameters", ())):
        yield "422"
    yield from ERRORS_OF_THEIR_OWN.get(name, ())


def contents(operation: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Every request and response body with a description of its place."""
    for media_type, media in operation.get("requestBody", {}).get("content", {}).items():
        yield f"the body as {media_type}", media
    for status, response in operation["responses"].items():
        for media_type, media in response.get("content", {}).items():
            yield f"{status} as {media_type}", media


def examples(media: Mapping[str, Any]) -> Iterator[Any]:
    """The examples of a media type, in every place that OpenAPI allows."""
    if "example" in media:
        yield media["example"]
    yield from (named["value"] for named in media.get("examples", {}).values())
    yield from media.get("schema", {}).get("examples", ())


def operations(described: Mapping[str, Any]) -> dict[str, Any]:
    """Every operation by its method and path."""
    paths = described["paths"].items()
    return {f"{method} {path}": operation for path, item in paths for method, operation in item.items()}
