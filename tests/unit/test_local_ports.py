"""All ports of a stack move together."""

import pytest
from tocsin_local.errors import LocalError
from tocsin_local.layout import BASE_PORTS, port_offset, ports


def test_every_port_moves_by_the_offset() -> None:
    moved = ports(port_offset({"TOCSIN_PORT_OFFSET": "1000"}))
    assert moved == {name: port + 1000 for name, port in BASE_PORTS.items()}
    assert ports(port_offset({})) == BASE_PORTS


@pytest.mark.parametrize("offset", ["many", "1.5", "60000", "-2000"])
def test_an_invalid_offset_is_named(offset: str) -> None:
    with pytest.raises(LocalError, match="TOCSIN_PORT_OFFSET"):
        port_offset({"TOCSIN_PORT_OFFSET": offset})
