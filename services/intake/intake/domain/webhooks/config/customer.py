"""A customer as the configuration names it. Pure."""

from tocsin.yaml_document import Name, YamlModel


class KnownCustomer(YamlModel):
    """A customer as the configuration names it."""

    id: Name
    name: Name
