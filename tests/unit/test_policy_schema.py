"""The JSON Schemas in deploy/policy are current, and accept the shipped documents."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML
from tocsin.schema import schemas

FOLDER = Path(__file__).parents[2] / "deploy/policy"


@pytest.mark.parametrize("name", schemas())
def test_the_schema_file_is_current(name: str) -> None:
    current = (FOLDER / name).read_text("utf-8")
    assert "docs/" not in current
    assert current == schemas()[name], "run: python -m tocsin.schema deploy/policy"


@pytest.mark.parametrize("document", ["policy", "directory"])
def test_the_shipped_document_is_valid_by_its_schema(document: str) -> None:
    written = YAML(typ="safe", pure=True).load(FOLDER / f"{document}.yaml")
    # As an editor sees it: every key and every instant is text.
    plain = json.loads(json.dumps(written, default=str))
    jsonschema.validate(plain, json.loads(schemas()[f"{document}.schema.json"]))


def test_the_schema_checks_the_terms_of_a_customer() -> None:
    written = YAML(typ="safe", pure=True).load(FOLDER / "policy.yaml")
    terms = {
        "targets": {"response": {"1": "30m", "2": {"warning": "10m", "due": "1h"}}, "answer": "12h"},
        "calendar": "default",
    }
    plain = json.loads(json.dumps(written | {"customers": {"acme": terms}}, default=str))
    schema = json.loads(schemas()["policy.schema.json"])
    jsonschema.validate(plain, schema)
    plain["customers"]["acme"]["targets"]["answer"] = "soon"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(plain, schema)
