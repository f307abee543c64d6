"""Which addresses a message may go to: the public internet, and the networks a deployment names.

A webhook is an address somebody else chose, called from inside our network; without a guard it would be a way to reach
what only we can reach. The name is resolved first, every address it has is checked, and the connection is made to an
address that was checked, so a name that changes in between leads nowhere.

    https://hooks.example.com/x   93.184.216.34          fine
    https://10.0.0.7/x            private                refused
    https://evil.example/x        93.184.216.34, ::1     refused: one of its addresses is the machine itself
    http://hooks.example.com/x    not encrypted          refused outside the networks that are named
"""

import ipaddress
import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from models.errors import AddressRefused

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
Network = ipaddress.IPv4Network | ipaddress.IPv6Network

#: Longest address of a receiver.
LONGEST = 2_000
#: Not for the public although the library knows no reason, or not in every version of it.
_REFUSED = tuple(
    ipaddress.ip_network(network)
    for network in (
        *("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.88.99.0/24", "198.18.0.0/15", "240.0.0.0/4"),
        *("::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "3fff::/20", "5f00::/16"),
        *("fc00::/7", "fe80::/10", "fec0::/10"),
    )
)
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


@dataclass(frozen=True)
class Target:
    """Where to connect to: an address that was checked, and the host it was found under."""

    family: int
    address: str
    host: str
    port: int
    path: str
    encrypted: bool


def parse_networks(text: str) -> tuple[Network, ...]:
    """Networks separated by commas, such as `10.1.0.0/16, 127.0.0.1`. Raises `ValueError`."""
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError:
        raise ValueError("networks separated by commas, such as 10.1.0.0/16") from None


def check_url(url: str, allowed: Iterable[Network]) -> SplitResult:
    """The parts of an address a message may perhaps go to, as far as can be told without resolving its host.

    Raises `AddressRefused`.
    """
    parts = _parts(url)
    named = tuple(allowed)
    literal = _literal(parts.hostname or "")
    if literal is not None:
        _check(literal, named, parts)
    elif parts.scheme == "http" and not named:
        raise AddressRefused("A webhook's address begins with https://, outside the networks that are allowed.")
    return parts


def resolve(url: str, allowed: Iterable[Network]) -> list[Target]:
    """Where to connect to for an address, in the resolver's order. Raises `AddressRefused` if any of the host's
    addresses may not be called, and `OSError` where it has none."""
    parts, named = _parts(url), tuple(allowed)
    host, encrypted = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if encrypted else 80)
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    targets = []
    for family, _, _, _, place in found:
        address = str(place[0])
        _check(ipaddress.ip_address(address.partition("%")[0]), named, parts)
        targets.append(Target(family, address, host, port, path, encrypted))
    return targets


def is_public(address: Address) -> bool:
    """Whether anybody on the internet may be reached there; an IPv4 address within an IPv6 one counts as itself."""
    inner = _within(address)
    if inner is not None:
        return is_public(inner)
    special = address.is_multicast or address.is_reserved or address.is_unspecified or address.is_loopback
    listed = any(address.version == network.version and address in network for network in _REFUSED)
    return address.is_global and not special and not listed


def _literal(host: str) -> Address | None:
    """The address that a host is written as, in any form the resolver reads without asking anybody (`2130706433`,
    `0x7f.1`, `127.1`; a final dot changes nothing); that of the machine itself for `localhost`. None for a name."""
    name = host.removesuffix(".").lower()
    if name == "localhost" or name.endswith(".localhost"):
        return ipaddress.IPv4Address("127.0.0.1")
    try:
        # As bytes: a name that is no host name is left to the resolver, too.
        ((_, _, _, _, place), *_) = socket.getaddrinfo(
            name.encode(), None, type=socket.SOCK_STREAM, flags=socket.AI_NUMERICHOST
        )
    except OSError:
        return None
    return ipaddress.ip_address(str(place[0]).partition("%")[0])


def _within(address: Address) -> ipaddress.IPv4Address | None:
    """The IPv4 address an IPv6 one stands for, by mapping, 6to4 or translation."""
    if isinstance(address, ipaddress.IPv4Address):
        return None
    if address in _NAT64:
        return ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _check(address: Address, allowed: tuple[Network, ...], parts: SplitResult) -> None:
    inner = _within(address) or address
    if any(inner.version == network.version and inner in network for network in allowed):
        return
    if not is_public(address):
        raise AddressRefused(
            f"{parts.hostname} leads to {address}, which is not on the public internet; "
            "EBBTIDE_WEBHOOK_ALLOW names networks that may be called all the same."
        )
    if parts.scheme != "https":
        raise AddressRefused("A webhook's address begins with https://, outside the networks that are allowed.")


def _parts(url: str) -> SplitResult:
    refused = AddressRefused(
        f"A webhook's address reads https://host/path: no user or password, at most {LONGEST:,} plain characters."
    )
    if len(url) > LONGEST or not url.isascii() or any(c <= " " or c in '"<>\\^`{|}\x7f' for c in url):
        raise refused
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise refused from None
    if (
        parts.scheme not in ("http", "https")
        or not parts.hostname
        # An interface of a machine (`fe80::1%eth0`), or a name that is none.
        or "%" in parts.hostname
        or "@" in parts.netloc
        or parts.fragment
        or port == 0
    ):
        raise refused
    return parts
