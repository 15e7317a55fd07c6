"""The headers in which a trusted proxy reports its client: X-Forwarded-*, and Forwarded (RFC 7239).

Every proxy adds its own client at the end of a list, so the list is read from its end, as far as the proxies in it are
trusted: what stands before that may have been made up by the client. A client that is reported without an address
("unknown", "_hidden" or anything else) counts as the proxy that reports it, because applications, limits and log lines
expect an address. Knows nothing of sockets.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from falconws.server.addresses import plain_host

_SCHEMES = frozenset({"http", "https", "ws", "wss"})
_PORTS = {"http": "80", "https": "443", "ws": "80", "wss": "443"}
_HOST = re.compile(r"([0-9A-Za-z\-._~]+|\[[0-9A-Fa-f:.]+\])(?::([0-9]{1,5}))?")
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([\w.\-]+))?|([0-9.]+)(?::([\w.\-]+))?|([0-9A-Fa-f:.]+)", re.ASCII)
_PAIR = re.compile(
    r"[ \t]*(?:([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:\"((?:[^\"\\]|\\.){0,256})\"|([^\s;,\"]+))[ \t]*)?([;,]|\Z)"
)
"""A pair of a name and a value, or nothing, up to the end of the pair (RFC 7239 section 4)."""
_HEADERS = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"forwarded"})
_MAX_NODE_CHARACTERS = 64
_MAX_PORT = 65_535
_MAPPED_BITS = 96
"""The prefix of IPv4 addresses that are mapped into IPv6."""

Node = tuple[str, int]


class TrustedProxies:
    """Rewrites scopes of requests that come from a trusted proxy.

    Args:
        hosts: Addresses and networks, separated by commas; "*" trusts all.
        trust_unix_socket: Trust clients of a Unix socket, which have no address.

    Raises:
        ValueError: An entry is neither an address nor a network; the message contains it.
    """

    def __init__(self, hosts: str | Iterable[str], *, trust_unix_socket: bool) -> None:
        names = [name.strip() for name in (hosts.split(",") if isinstance(hosts, str) else hosts)]
        self._trusts_all = "*" in names
        self._trusts_unix_socket = trust_unix_socket
        self._networks = [_parse_network(name) for name in names if name not in ("", "*")]
        self._is_trusted_host = lru_cache(maxsize=1024)(self._compute_trust)

    def apply(self, scope: dict[str, Any]) -> None:
        """Set client, scheme and Host header of *scope* to those that a trusted proxy reports."""
        client = scope.get("client")
        if not self._trusts(client[0] if client else None):
            return
        values: dict[bytes, str] = {}
        for name, value in scope["headers"]:
            if name in _HEADERS:
                text = value.decode("latin-1")
                values[name] = f"{values[name]}, {text}" if name in values else text
        if not values:
            return
        if set(values) == {b"forwarded"}:
            self._apply_forwarded(scope, values[b"forwarded"])
        else:
            # A proxy that sets X-Forwarded-* passes on the client's Forwarded header as it is.
            self._apply_x_forwarded(scope, values)

    def _trusts(self, host: str | None) -> bool:
        if self._trusts_all:
            return True
        return self._is_trusted_host(host) if host else self._trusts_unix_socket

    def _compute_trust(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(plain_host(host))
        except ValueError:
            # The path of a Unix socket.
            return False
        return any(address in network for network in self._networks)

    def _apply_x_forwarded(self, scope: dict[str, Any], values: dict[bytes, str]) -> None:
        nodes = [_parse_node(item) for item in _items(values.get(b"x-forwarded-for", ""))]
        index = self._set_client(scope, nodes)

        def chosen(name: bytes) -> str | None:
            items = _items(values.get(name, ""))
            if not items:
                return None
            # Proxies that add to one list add to the others as well; else the first item is the outermost proxy's.
            return items[index if len(items) == len(nodes) else 0]

        _set_scheme(scope, chosen(b"x-forwarded-proto"))
        _set_host(scope, chosen(b"x-forwarded-host"), chosen(b"x-forwarded-port"))

    def _apply_forwarded(self, scope: dict[str, Any], text: str) -> None:
        elements = _parse_forwarded(text)
        if elements:
            index = self._set_client(scope, [_parse_node(element.get("for", "")) for element in elements])
            _set_scheme(scope, elements[index].get("proto"))
            _set_host(scope, elements[index].get("host"), None)

    def _set_client(self, scope: dict[str, Any], nodes: list[Node | None]) -> int:
        """Set the client of *scope*; return the index of the node that the outermost trusted proxy has reported."""
        index = 0
        for index in range(len(nodes) - 1, -1, -1):
            node = nodes[index]
            if node is None:
                # A node without an address cannot be trusted, nor what is in front of it.
                break
            scope["client"] = node
            if not self._trusts(node[0]):
                break
        return index


def _parse_network(name: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network:
    try:
        network = ipaddress.ip_network(name, strict=False)
    except ValueError:
        raise ValueError(f'"{name}" is neither an address nor a network, such as 10.0.0.0/8') from None
    mapped = network.network_address.ipv4_mapped if network.version == 6 else None
    if mapped is not None and network.prefixlen >= _MAPPED_BITS:
        return ipaddress.IPv4Network((mapped, network.prefixlen - _MAPPED_BITS))
    return network


def _items(text: str) -> list[str]:
    """Return the elements of a list; empty ones do not count (RFC 9110 section 5.6.1.2)."""
    return [stripped for item in text.split(",") if (stripped := item.strip())]


def _parse_node(text: str) -> Node | None:
    """Return the address and the port of a node, 0 if it has none or hides it; None if the node is no address.

    Source: RFC 7239 section 6.
    """
    match = _NODE.fullmatch(text) if len(text) <= _MAX_NODE_CHARACTERS else None
    if match is None:
        return None
    try:
        address = ipaddress.ip_address(match[1] or match[3] or match[5])
    except ValueError:
        return None
    port = match[2] or match[4] or ""
    return plain_host(str(address)), int(port) if _is_port(port) else 0


def _parse_forwarded(text: str) -> list[dict[str, str]]:
    """Return the elements of a Forwarded header.

    A malformed element counts as a client without an address: what proxies have added behind it is believed.
    """
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None:
            elements[-1:] = {"for": ""}, {}
            position = text.find(",", position) + 1 or len(text)
            continue
        if pair[1] is not None:
            value = pair[3] if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2])
            elements[-1].setdefault(pair[1].lower(), value)
        if pair[4] == ",":
            elements.append({})
        position = pair.end()
    return [element for element in elements if element]


def _set_scheme(scope: dict[str, Any], scheme: str | None) -> None:
    scheme = (scheme or "").lower()
    if scheme in _SCHEMES:
        secure = scheme in ("https", "wss")
        if scope["type"] == "websocket":
            scope["scheme"] = "wss" if secure else "ws"
        else:
            scope["scheme"] = "https" if secure else "http"


def _is_port(text: str) -> bool:
    return re.fullmatch("[1-9][0-9]{0,4}", text) is not None and int(text) <= _MAX_PORT


def _set_host(scope: dict[str, Any], host: str | None, port: str | None) -> None:
    """Replace the Host header: the application compares it with the origin of a page."""
    if host is None and port is None:
        return
    if host is None:
        host = next((value.decode("latin-1") for name, value in scope["headers"] if name == b"host"), "")
    match = _HOST.fullmatch(host)
    if match is None:
        return
    if match[2] is None and port is not None and _is_port(port) and port != _PORTS[scope["scheme"]]:
        host = f"{match[1]}:{port}"
    headers = [header for header in scope["headers"] if header[0] != b"host"]
    scope["headers"] = [(b"host", host.encode()), *headers]
