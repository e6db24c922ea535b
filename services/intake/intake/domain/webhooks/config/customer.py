"""A customer as the configuration names it. Pure."""

from tocsin.yaml_document.field_types import Name, Written


class KnownCustomer(Written):
    """A customer as the configuration names it."""

    id: Name
    name: Name
