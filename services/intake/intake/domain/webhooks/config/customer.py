"""A customer as we call it. Pure."""

from tocsin.yaml_document import Name, YamlModel


class KnownCustomer(YamlModel):
    """A customer as we call it."""

    id: Name
    name: Name
