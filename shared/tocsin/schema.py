"""Writes the JSON Schemas of policy.yaml and directory.yaml, for editors: `python -m tocsin.schema FOLDER`."""

import json
import sys
from pathlib import Path
from typing import Final

from tocsin.directory import Directory
from tocsin.policy import Policy
from tocsin.yaml_document import YamlModel

_DIALECT: Final = {"$schema": "https://json-schema.org/draft/2020-12/schema"}


def schemas() -> dict[str, str]:
    """Return the text of each schema by its file name. The text is generated from the models."""
    models: dict[str, type[YamlModel]] = {"policy.schema.json": Policy, "directory.schema.json": Directory}
    return {
        name: json.dumps(_DIALECT | model.model_json_schema(), indent=2, ensure_ascii=False) + "\n"
        for name, model in models.items()
    }


def main(folder: Path) -> None:
    """Write the schemas into the folder."""
    for name, text in schemas().items():
        (folder / name).write_text(text, "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
