"""Customers and people as the configuration names them. Pure."""

from pydantic import EmailStr
from tocsin.yaml_document import Name, YamlModel


class KnownCustomer(YamlModel):
    """A customer as the configuration names it."""

    id: Name
    name: Name


class KnownAssignee(YamlModel):
    """One of our people, who works on tickets."""

    name: Name
    email: EmailStr | None = None
