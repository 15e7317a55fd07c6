"""Addresses of clients: IPv4 addresses in IPv6 form, networks of one client, the ends of a transport. Pure."""

from __future__ import annotations

import ipaddress
from functools import lru_cache
from typing import Any

Address = tuple[str, int | None]


def plain_host(host: str) -> str:
    """Return *host*; an IPv4 address that is mapped into IPv6 (::ffff:192.0.2.1) as an IPv4 address."""
    if ":" not in host or not host.lower().startswith(("::ffff:", "0:0:0:0:0:ffff:")):
        return host
    try:
        mapped = ipaddress.IPv6Address(host).ipv4_mapped
    except ValueError:
        return host
    return host if mapped is None else str(mapped)


def endpoint(address: Any) -> Address | None:
    """Return a socket's address as ASGI has it: host and port, or the path of a Unix socket and None."""
    if isinstance(address, (tuple, list)) and len(address) >= 2:
        return plain_host(str(address[0])), int(address[1])
    if isinstance(address, str) and address:
        return address, None
    return None


@lru_cache(maxsize=4096)
def network_of(host: str, ipv6_prefix: int) -> str:
    """Return what counts as one client: an IPv4 address, or the network of *ipv6_prefix* bits of an IPv6 address."""
    host = plain_host(host)
    if ":" not in host:
        return host
    try:
        address = ipaddress.IPv6Address(host.partition("%")[0])
    except ValueError:
        return host
    return str(ipaddress.IPv6Network((address, ipv6_prefix), strict=False))
