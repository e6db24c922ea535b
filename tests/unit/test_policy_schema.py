"""The JSON Schemas beside the shipped documents are those of the models, and accept these documents."""

import json
from pathlib import Path

import jsonschema
import pytest
from ruamel.yaml import YAML
from tocsin.policy.schema import schemas

FOLDER = Path(__file__).parents[2] / "deploy/policy"


@pytest.mark.parametrize("name", schemas())
def test_the_schema_is_current(name: str) -> None:
    current = (FOLDER / name).read_text("utf-8")
    assert current == schemas()[name], "run: python -m tocsin.policy.schema deploy/policy"


@pytest.mark.parametrize("document", ["policy", "directory"])
def test_the_shipped_document_fits_its_schema(document: str) -> None:
    written = YAML(typ="safe", pure=True).load(FOLDER / f"{document}.yaml")
    # As an editor sees it: every name is text, every instant as it is written.
    plain = json.loads(json.dumps(written, default=str))
    jsonschema.validate(plain, json.loads(schemas()[f"{document}.schema.json"]))
