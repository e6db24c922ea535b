"""Which IP addresses a feed may be fetched from: public ones, and those of the networks that a setting allows.

The table is our own: `is_global` differs between the versions of Python, and is true for multicast.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Final

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network

_NOT_PUBLIC_V4: Final = tuple(
    IPv4Network(text)
    for text in (
        "0.0.0.0/8",  # this host
        "10.0.0.0/8",
        "100.64.0.0/10",  # carriers; the metadata server of Alibaba Cloud
        "127.0.0.0/8",
        "168.63.129.16/32",  # the platform server of Azure
        "169.254.0.0/16",  # link-local; the metadata servers of most clouds
        "172.16.0.0/12",
        "192.0.0.0/24",  # protocol assignments; the metadata server of Oracle Cloud
        "192.0.2.0/24",
        "192.31.196.0/24",
        "192.52.193.0/24",
        "192.88.99.0/24",
        "192.168.0.0/16",
        "192.175.48.0/24",
        "198.18.0.0/15",
        "198.51.100.0/24",
        "203.0.113.0/24",
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",
    )
)
_PUBLIC_V6: Final = IPv6Network("2000::/3")
_NOT_PUBLIC_V6: Final = tuple(
    IPv6Network(text)
    for text in (
        "2001::/23",  # protocol assignments, Teredo among them
        "2001:db8::/32",
        "2002::/16",  # 6to4: leads to an IPv4 address through a relay
        "2620:4f:8000::/48",
        "3fff::/20",
    )
)
_WITH_V4: Final = (IPv6Network("::ffff:0:0/96"), IPv6Network("64:ff9b::/96"))
"""An IPv4 address written as IPv6, and one behind NAT64: the IPv4 address decides."""


def parse_address(text: str) -> Address:
    """The address, with an IPv4 address inside an IPv6 one taken out. Raises ValueError."""
    address = ip_address(text)
    if isinstance(address, IPv6Address) and any(address in network for network in _WITH_V4):
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


def is_public(address: Address) -> bool:
    """Whether the address belongs to the public internet: not to a host, a site, a cloud's platform or a group."""
    if isinstance(address, IPv4Address):
        return not any(address in network for network in _NOT_PUBLIC_V4)
    return address in _PUBLIC_V6 and not any(address in network for network in _NOT_PUBLIC_V6)


def is_allowed(address: Address, networks: Iterable[Network]) -> bool:
    """Whether the address is public, or in one of the networks."""
    return is_public(address) or any(address in network for network in networks)


def parse_networks(value: object) -> object:
    """The networks in a text with commas; any other value unchanged. Raises ValueError with what to write."""
    if not isinstance(value, str):
        return value
    try:
        return tuple(ip_network(each.strip()) for each in value.split(",") if each.strip())
    except ValueError:
        raise ValueError("must be networks separated by commas, such as 10.20.0.0/16, or 10.20.3.7/32") from None
