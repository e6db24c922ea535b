"""The shipped on-call directory, which a scenario may change while the stack runs."""

import copy
import os
from pathlib import Path
from typing import Any

import orjson
from ruamel.yaml import YAML
from tocsin_local.layout import POLICY_FOLDER

SHIPPED = POLICY_FOLDER / "directory.yaml"


class EditableDirectory:
    """A directory file. Each change replaces the file atomically, and the services reload it. (JSON is YAML.)"""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._shipped: dict[str, Any] = YAML(typ="safe").load(SHIPPED.read_text())
        self._shipped.pop("overrides", None)  # the README tells operators to add tonight's cover there
        self.reset()

    def reset(self) -> None:
        """The shipped people and roles again."""
        self._content = copy.deepcopy(self._shipped)
        self._save()

    def vacate(self, role: str) -> None:
        """No one holds the role, for any customer."""
        self._content["roles"][role] = []
        self._save()

    def appoint(self, role: str, person: str, customer: str) -> str:
        """A new person holds the role for one customer. Returns the person's mail address."""
        email = f"{person}@example.com"
        self._content["people"][person] = {"name": person.replace(".", " ").title(), "email": email}
        self._content["roles"][role].append({"person": person, "customer": customer})
        self._save()
        return email

    def send_reports(self, *persons: str, customer: str | None = None) -> None:
        """These people get the monthly report about the customer, or about all."""
        about = {"customer": customer} if customer is not None else {}
        self._content.setdefault("reports", []).append({**about, "to": persons})
        self._save()

    def email(self, person: str) -> str:
        """The person's mail address."""
        address: str = self._content["people"][person]["email"]
        return address

    def _save(self) -> None:
        new = self.file.with_suffix(".new")
        new.write_bytes(orjson.dumps(self._content))
        os.replace(new, self.file)
