"""A customer as we call it. Pure."""

from tocsin.policy.written import Name, Written


class KnownCustomer(Written):
    """A customer as we call it."""

    id: Name
    name: Name
