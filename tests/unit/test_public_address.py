"""Which addresses a feed may be fetched from."""

from ipaddress import IPv4Address, IPv6Address, ip_address, ip_network

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from support.search_budget import tries
from tocsin.runtime.http.public_address import is_allowed, is_public, parse_address

SPECIAL = """
0.0.0.0/8 10.0.0.0/8 100.64.0.0/10 127.0.0.0/8 168.63.129.16/32 169.254.0.0/16 172.16.0.0/12 192.0.0.0/24 192.0.2.0/24
192.31.196.0/24 192.52.193.0/24 192.88.99.0/24 192.168.0.0/16 192.175.48.0/24 198.18.0.0/15 198.51.100.0/24
203.0.113.0/24 224.0.0.0/4 240.0.0.0/4 ::/96 64:ff9b:1::/48 100::/64 100:0:0:1::/64 2001::/23 2001:db8::/32 2002::/16
2620:4f:8000::/48 3fff::/20 4000::/3 5f00::/16 fc00::/7 fe80::/10 fec0::/10 ff00::/8
"""
"""The special-purpose address registries of IANA, and addresses of clouds' platforms."""
PUBLIC = "8.8.8.8 93.184.216.34 172.32.0.1 100.128.0.1 223.255.255.255 2606:4700::1111 2a00:1450:4001::1"
METADATA = "169.254.169.254 100.100.100.200 192.0.0.192 168.63.129.16 fd00:ec2::254 fe80::a9fe:a9fe%eth0"
V4_IN_V6 = ("::ffff:{}", "64:ff9b::{}")


def is_public_text(text: str) -> bool:
    return is_public(parse_address(text))


def written(address: IPv4Address | IPv6Address) -> list[str]:
    """The address, and the IPv6 addresses that lead to it."""
    forms = V4_IN_V6 if isinstance(address, IPv4Address) else ()
    return [str(address), *(form.format(address) for form in forms)]


def is_special(address: IPv4Address | IPv6Address) -> bool:
    """As the standard library knows it. Its table differs between versions, and lacks ranges that ours has."""
    return not address.is_global or address.is_multicast or address.is_reserved or address.is_link_local


@settings(max_examples=tries(50))
@given(
    st.sampled_from([ip_network(text) for text in SPECIAL.split()]).flatmap(lambda net: st.ip_addresses(network=net))
)
def test_no_address_of_a_special_range_is_public(address: IPv4Address | IPv6Address) -> None:
    assert not any(map(is_public_text, written(address)))


def test_each_special_range_is_not_public_from_its_first_to_its_last_address() -> None:
    edges = [edge for text in SPECIAL.split() for edge in (ip_network(text)[0], ip_network(text)[-1])]
    assert [str(edge) for edge in edges if any(map(is_public_text, written(edge)))] == []


@settings(max_examples=tries(20))
@given(st.ip_addresses())
def test_nothing_that_the_standard_library_knows_as_special_is_public(address: IPv4Address | IPv6Address) -> None:
    if is_special(address) and str(parse_address(str(address))) == str(address):
        assert not any(map(is_public_text, written(address)))


@pytest.mark.parametrize("text", METADATA.split())
def test_the_metadata_server_of_a_cloud_is_not_public(text: str) -> None:
    assert not is_public_text(text)


@pytest.mark.parametrize("text", PUBLIC.split())
def test_addresses_of_the_internet_are_public(text: str) -> None:
    assert all(map(is_public_text, written(ip_address(text))))


def test_a_setting_allows_its_networks_and_no_other() -> None:
    networks = (ip_network("10.20.0.0/16"), ip_network("fd00:1::/32"))
    for text in ("10.20.3.7", "::ffff:10.20.3.7", "fd00:1::7", "8.8.8.8"):
        assert is_allowed(parse_address(text), networks)
    for text in ("10.21.0.1", "::ffff:10.21.0.1", "fd00:2::7", "127.0.0.1", "169.254.169.254"):
        assert not is_allowed(parse_address(text), networks)
    assert not is_allowed(parse_address("10.20.3.7"), ())
