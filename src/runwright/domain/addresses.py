"""Which network addresses and URLs a server may be sent to by those who use it: the policy, without a network.

An address is `public`, `private` (a network of one's own: loopback, RFC 1918, shared, unique local, benchmarks) or
`forbidden`. Forbidden stays forbidden whatever is configured: metadata services, link-local, multicast, reserved
ranges, and IPv6 forms that carry an IPv4 address to a gateway which would unpack it (mapped, compatible, NAT64, 6to4,
Teredo, ISATAP). Of IPv6 only what is assigned as global unicast is public, so that a new range is closed at first.

Source: the IANA registries of special-purpose addresses (RFC 6890), RFC 4291, RFC 6052, RFC 8215, RFC 9637.
"""

from __future__ import annotations

import re
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from typing import Literal

import msgspec

Standing = Literal["public", "private", "forbidden"]

URL_MAX = 2048
_HOST_MAX = 253

# Every instance of a cloud can ask these for its credentials; 168.63.129.16 and fd20:ce::254 look like any address.
_METADATA = frozenset(
    map(ip_address, ("169.254.169.254", "100.100.100.200", "168.63.129.16", "fd00:ec2::254", "fd20:ce::254"))
)
_METADATA_NAMES = frozenset({"metadata", "metadata.google.internal", "metadata.goog", "instance-data"})
_PRIVATE_SUFFIXES = ("localhost", "localdomain", "local", "internal", "intranet", "lan", "home.arpa", "corp", "private")

_PRIVATE_4 = tuple(
    map(
        IPv4Network,
        ("10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "198.18.0.0/15"),
    )
)
_FORBIDDEN_4 = tuple(
    map(
        IPv4Network,
        (
            "0.0.0.0/8",  # this host, this network
            "169.254.0.0/16",  # link-local
            "192.0.0.0/24",  # protocol assignments
            "192.0.2.0/24",  # documentation
            "192.88.99.0/24",  # relays of 6to4
            "198.51.100.0/24",  # documentation
            "203.0.113.0/24",  # documentation
            "224.0.0.0/3",  # multicast, reserved, broadcast
        ),
    )
)
_PRIVATE_6 = (IPv6Network("::1/128"), IPv6Network("fc00::/7"))
_GLOBAL_6 = IPv6Network("2000::/3")
_FORBIDDEN_6 = tuple(
    map(
        IPv6Network,
        (
            "2001::/23",  # protocol assignments: Teredo, benchmarks, ORCHID
            "2001:db8::/32",  # documentation
            "2002::/16",  # 6to4
            "3fff::/20",  # documentation
        ),
    )
)
_ISATAP = (0x00005EFE, 0x02005EFE)

# One pattern for what every parser reads alike: no user, no fragment, no backslash, nothing outside of ASCII.
_URL = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[0-9A-Fa-f.]*:[0-9A-Fa-f:.]*\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<target>[/?][!$-;=?-Z\[\]_a-z~]*)?"
)
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")
_LABEL = re.compile(r"[A-Za-z0-9_](?:[A-Za-z0-9_-]{0,61}[A-Za-z0-9_])?")


class Url(msgspec.Struct, frozen=True):
    """The parts of a web address; an IPv6 host is in brackets, `target` is the path with the query."""

    scheme: str
    host: str
    port: int | None
    target: str

    @property
    def origin(self) -> str:
        """Return it without its path and query, which may hold what nobody else shall see."""
        return f"{self.scheme}://{self.authority}"

    @property
    def authority(self) -> str:
        """Return the host with the port, if one was named."""
        return self.host if self.port is None else f"{self.host}:{self.port}"


def standing(address: str) -> Standing:
    """Tell what kind of address this is; whatever is no address in its one canonical spelling is forbidden."""
    try:
        found = ip_address(address)
    except ValueError:
        return "forbidden"
    if found in _METADATA:
        return "forbidden"
    return _standing_4(found) if isinstance(found, IPv4Address) else _standing_6(found)


def _standing_4(address: IPv4Address) -> Standing:
    if any(address in network for network in _FORBIDDEN_4):
        return "forbidden"
    return "private" if any(address in network for network in _PRIVATE_4) else "public"


def _standing_6(address: IPv6Address) -> Standing:
    if address.scope_id is not None:
        return "forbidden"
    if any(address in network for network in _PRIVATE_6):
        return "private"
    if address not in _GLOBAL_6 or any(address in network for network in _FORBIDDEN_6):
        return "forbidden"
    return "forbidden" if (int(address) >> 32) & 0xFFFFFFFF in _ISATAP else "public"


def address_problem(address: str, *, allow_private: bool = False) -> str | None:
    """Say why nothing may be sent to this address; None when it may."""
    found = standing(address)
    if found == "public" or (found == "private" and allow_private):
        return None
    if found == "private":
        return f"the address {address} is private; RUNWRIGHT_ALLOW_PRIVATE_ENDPOINTS=true allows it for development"
    return f"the address {address} is one that nothing is sent to (link-local, metadata, reserved or translated)"


def host_problem(host: str, *, allow_private: bool = False) -> str | None:
    """Say why nothing may be sent to a host, as far as its name tells it; None when its addresses decide.

    A name is ASCII without a dot at its end; an address is four decimal numbers, or IPv6 (in brackets or without).
    """
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    if ":" in host:
        return address_problem(host, allow_private=allow_private)
    labels = host.split(".")
    if _NUMBER.fullmatch(labels[-1]):  # what some parser might read as an address (WHATWG URL, inet_aton) must be one
        if standing(host) == "forbidden" and not _is_canonical(host):
            return f"the host {host[:64]!r} must be written as four decimal numbers, such as 198.51.100.7"
        return address_problem(host, allow_private=allow_private)
    if len(host) > _HOST_MAX or not all(map(_LABEL.fullmatch, labels)):
        return "the host must be a name of letters, digits and hyphens (xn--… for others), without a dot at its end"
    name = host.lower()
    if name in _METADATA_NAMES:
        return f"the host {name} is a metadata service, which nothing is sent to"
    if not allow_private and any(name == suffix or name.endswith("." + suffix) for suffix in _PRIVATE_SUFFIXES):
        return f"the host {name} is private; RUNWRIGHT_ALLOW_PRIVATE_ENDPOINTS=true allows it for development"
    return None


def _is_canonical(host: str) -> bool:
    try:
        return str(IPv4Address(host)) == host
    except ValueError:
        return False


def read_url(url: str) -> Url:
    """Return the parts of a URL that `url_problem` has nothing against as far as its form goes. Raises `ValueError`."""
    read = _URL.fullmatch(url)
    if read is None:
        raise ValueError("this is no plain web address")
    target = read["target"] or "/"
    port = int(read["port"]) if read["port"] is not None else None
    return Url(read["scheme"].lower(), read["host"].lower(), port, target if target[0] == "/" else "/" + target)


def url_problem(url: str, *, allow_private: bool = False) -> str | None:
    """Say why nothing may be sent to a URL, as far as it tells by itself; None when its addresses decide."""
    if len(url) > URL_MAX:
        return f"must have at most {URL_MAX} characters"
    read = _URL.fullmatch(url)
    if read is None:
        return (
            "must be a URL such as https://example.com/path: ASCII (%-encoded and xn-- for others), without user,"
            " password and fragment"
        )
    if read["scheme"].lower() not in {"http", "https"}:
        return "must begin with http:// or https://"
    if read["port"] is not None and not 0 < int(read["port"]) < 65_536:
        return "must have a port from 1 to 65535"
    return host_problem(read["host"], allow_private=allow_private)
