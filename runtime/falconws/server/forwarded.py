"""The headers in which a trusted proxy reports its client: X-Forwarded-*, and Forwarded (RFC 7239).

Every proxy adds its own client at the end of a list, so the list is read from its end, as far as the proxies in it are
trusted: what stands before that may have been made up by the client. Knows nothing of sockets.
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
_NODE = re.compile(r"\[([0-9A-Fa-f:.]+)\](?::([0-9]{1,5}))?|([0-9.]+):([0-9]{1,5})|([0-9A-Fa-f:.]+|[0-9A-Za-z._\-]+)")
_PAIR = re.compile(r"[ \t]*([!#$%&'*+\-.^_`|~0-9A-Za-z]+)=(?:\"((?:[^\"\\]|\\.)*)\"|([^\s;,\"]+))[ \t]*([;,]|$)")
_HEADERS = frozenset({b"x-forwarded-for", b"x-forwarded-proto", b"x-forwarded-host", b"x-forwarded-port", b"forwarded"})
_MAX_NODE_CHARACTERS = 255
_MAX_PORT = 65_535


class TrustedProxies:
    """Rewrites scopes of requests that come from a trusted proxy.

    Args:
        hosts: Addresses and networks, separated by commas; "*" trusts all.
        trust_unix_socket: Trust clients of a Unix socket, which have no address.
    """

    def __init__(self, hosts: str | Iterable[str], *, trust_unix_socket: bool) -> None:
        names = [name.strip() for name in (hosts.split(",") if isinstance(hosts, str) else hosts)]
        self._trusts_all = "*" in names
        self._trusts_unix_socket = trust_unix_socket
        self._networks = []
        self._literals = set()
        for name in filter(None, names):
            try:
                self._networks.append(ipaddress.ip_network(plain_host(name), strict=False))
            except ValueError:
                self._literals.add(name)
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
        if not host:
            return self._trusts_unix_socket
        return len(host) <= _MAX_NODE_CHARACTERS and self._is_trusted_host(host)

    def _compute_trust(self, host: str) -> bool:
        try:
            address = ipaddress.ip_address(plain_host(host))
        except ValueError:
            return host in self._literals
        return any(address in network for network in self._networks)

    def _apply_x_forwarded(self, scope: dict[str, Any], values: dict[bytes, str]) -> None:
        nodes = _items(values.get(b"x-forwarded-for", ""))
        index = self._client_index([_parse_node(node) for node in nodes])
        if index is not None:
            scope["client"] = _parse_node(nodes[index])

        def chosen(name: bytes) -> str | None:
            items = _items(values.get(name, ""))
            if not items:
                return None
            # Proxies that add to one list add to the others as well; else the first item is the outermost proxy's.
            return items[index] if index is not None and len(items) == len(nodes) else items[0]

        _set_scheme(scope, chosen(b"x-forwarded-proto"))
        _set_host(scope, chosen(b"x-forwarded-host"), chosen(b"x-forwarded-port"))

    def _apply_forwarded(self, scope: dict[str, Any], text: str) -> None:
        elements = _parse_forwarded(text)
        if not elements:
            return
        nodes = [_parse_node(element.get("for", "")) for element in elements]
        index = self._client_index(nodes)
        if index is None:
            return
        if nodes[index] is not None:
            scope["client"] = nodes[index]
        _set_scheme(scope, elements[index].get("proto"))
        _set_host(scope, elements[index].get("host"), None)

    def _client_index(self, nodes: list[tuple[str, int] | None]) -> int | None:
        """Return the index of the last node that is not a trusted proxy; of the first if all are."""
        if not nodes:
            return None
        if self._trusts_all:
            return 0
        for index in range(len(nodes) - 1, -1, -1):
            node = nodes[index]
            if node is None or not self._trusts(node[0]):
                # A node that cannot be parsed tells nothing, and what is in front of it cannot be trusted.
                return index if node is not None else (index + 1 if index + 1 < len(nodes) else None)
        return 0


def _items(text: str) -> list[str]:
    """Return the elements of a list; empty ones do not count (RFC 9110 section 5.6.1.2)."""
    return [stripped for item in text.split(",") if (stripped := item.strip())]


def _parse_node(text: str) -> tuple[str, int] | None:
    """Return host and port (0 if there is none) of an address, or of a name such as "unknown" (RFC 7239 section 6)."""
    match = _NODE.fullmatch(text) if len(text) <= _MAX_NODE_CHARACTERS else None
    if match is None:
        return None
    host, port = match[1] or match[3] or match[5], int(match[2] or match[4] or 0)
    return plain_host(host), port if port <= _MAX_PORT else 0


def _parse_forwarded(text: str) -> list[dict[str, str]]:
    """Return the elements of a Forwarded header; none if it is malformed."""
    elements: list[dict[str, str]] = [{}]
    position = 0
    while position < len(text):
        pair = _PAIR.match(text, position)
        if pair is None:
            return []
        value = pair[3] if pair[2] is None else re.sub(r"\\(.)", r"\1", pair[2])
        elements[-1].setdefault(pair[1].lower(), value)
        if pair[4] == ",":
            elements.append({})
        position = pair.end()
    return elements if all(elements) else []


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
