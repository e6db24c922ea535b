"""A customer as we call it. Pure."""

from tocsin.yaml_document.field_types import Name, Written


class KnownCustomer(Written):
    """A customer as we call it."""

    id: Name
    name: Name
