"""The check of the Origin header: which web pages may open a WebSocket.

A browser sends a site's cookies with a WebSocket handshake from any page. A server that ignores the Origin header lets
every page act with its users' sessions. Knows nothing of requests: strings come in, a bool goes out.

Source: RFC 6454 (origins and their serialization); RFC 6455 section 10.2.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import NamedTuple

from .hosts import is_subdomain

__all__ = ("Origin", "OriginPolicy", "parse_origin")

_DEFAULT_PORTS = {"http": 80, "https": 443, "ws": 80, "wss": 443}
_NO_ORIGINS = {"ws", "wss", "file", "data", "blob", "about", "javascript"}
"""Schemes that no Origin header has: pages are loaded by http or https, and the origin of a file is ``null``."""
_HTTP_SCHEMES = {"ws": "http", "wss": "https"}

# scheme://host[:port] and nothing else: RFC 6454 section 6.1 serializes no path, query or user.
_ORIGIN = re.compile(
    r"(?P<scheme>[A-Za-z][A-Za-z0-9+.-]*)://(?P<host>\[[0-9A-Fa-f:.]+\]|[^\s/?#@\[\]:*,]+)(?::(?P<port>[0-9]{1,5}))?"
)


class Origin(NamedTuple):
    """A scheme, a host in lower case, and a port: the scheme's default where none was given."""

    scheme: str
    host: str
    port: int | None


def parse_origin(text: str) -> Origin | None:
    """Return the origin that *text* serializes, or None for ``null`` and for anything that is not an origin."""
    match = _ORIGIN.fullmatch(text)
    if match is None:
        return None
    scheme = match["scheme"].lower()
    port = int(match["port"]) if match["port"] else _DEFAULT_PORTS.get(scheme)
    return Origin(scheme, match["host"].lower(), port)


class OriginPolicy:
    """The compiled form of ``ws_options.allowed_origins``.

    Args:
        setting: ``"same-origin"``, ``"*"``, or a sequence of origins and ``scheme://*.host`` patterns. Apps and
            extensions have schemes of their own: ``capacitor://localhost``, ``chrome-extension://...``.

    Raises:
        ValueError: An entry is not one of these; the message names it and says what is expected.
    """

    __slots__ = ("_exact", "_same_origin", "_subdomains", "setting")

    def __init__(self, setting: str | Sequence[str]) -> None:
        self.setting = setting if isinstance(setting, str) else tuple(setting)
        self._same_origin = False
        self._exact: set[Origin] = set()
        self._subdomains: list[Origin] = []
        """``https://*.example.com`` has the host ``.example.com`` here."""
        if isinstance(setting, str):
            if setting not in ("same-origin", "*"):
                raise ValueError(
                    f'allowed_origins is {setting!r}: use "same-origin", "*" or a list such as '
                    '["https://example.com", "https://*.example.com"].'
                )
            self._same_origin = setting == "same-origin"
            return
        for entry in setting:
            self._add(entry)

    def _add(self, entry: str) -> None:
        if entry == "same-origin":
            self._same_origin = True
            return
        scheme, separator, rest = entry.partition("://*.")
        origin = parse_origin(f"{scheme}://{rest}") if separator else parse_origin(entry)
        if origin is None or origin.scheme in _NO_ORIGINS:
            hint = " (every sandboxed page has that origin)" if entry == "null" else ""
            raise ValueError(
                f"allowed_origins contains {entry!r}, which is not an origin{hint}: write scheme and host, such as "
                '"https://example.com", "http://localhost:3000", "https://*.example.com" or "capacitor://localhost", '
                "without a path."
            )
        if separator:
            self._subdomains.append(origin._replace(host=f".{origin.host}"))
        else:
            self._exact.add(origin)

    def allows(self, origins: Sequence[str], scheme: str, host: str | None) -> bool:
        """Return whether the handshake is allowed.

        Args:
            origins: The values of all Origin headers. A browser always sends one.
            scheme: The scheme the server sees: ``ws`` or ``wss``.
            host: The value of the Host header.
        """
        if not origins or self.setting == "*":
            return True
        if len(origins) > 1:
            return False
        origin = parse_origin(origins[0])
        if origin is None:
            return False
        if self._same_origin and host is not None and origin == _origin_of(scheme, host):
            return True
        return origin in self._exact or any(
            origin == pattern._replace(host=origin.host) and is_subdomain(origin.host, pattern.host)
            for pattern in self._subdomains
        )


def _origin_of(scheme: str, host: str) -> Origin | None:
    return parse_origin(f"{_HTTP_SCHEMES.get(scheme, scheme)}://{host}")
