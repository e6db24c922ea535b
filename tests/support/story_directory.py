"""The directory file of the stories: the shipped people and roles, and what a story changes of them."""

import copy
import os
from pathlib import Path
from typing import Any

import orjson
from ruamel.yaml import YAML
from tocsin_local.layout import POLICY_FOLDER

SHIPPED = POLICY_FOLDER / "directory.yaml"


class WrittenDirectory:
    """Written anew with every change, in one piece; the services see it at their next look. (JSON is YAML.)"""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._shipped: dict[str, Any] = YAML(typ="safe").load(SHIPPED.read_text())
        self._shipped.pop("overrides", None)  # README.md says to write tonight's there
        self.restore()

    def restore(self) -> None:
        """As shipped."""
        self._now = copy.deepcopy(self._shipped)
        self._write()

    def vacate(self, role: str) -> None:
        """Nobody holds the role, for any customer."""
        self._now["roles"][role] = []
        self._write()

    def appoint(self, role: str, person: str, customer: str) -> str:
        """A new person holds the role for a customer; their address."""
        email = f"{person}@example.com"
        self._now["people"][person] = {"name": person.replace(".", " ").title(), "email": email}
        self._now["roles"][role].append({"person": person, "customer": customer})
        self._write()
        return email

    def email(self, person: str) -> str:
        address: str = self._now["people"][person]["email"]
        return address

    def _write(self) -> None:
        beside = self.file.with_suffix(".new")
        beside.write_bytes(orjson.dumps(self._now))
        os.replace(beside, self.file)
