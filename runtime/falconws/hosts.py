"""The check of the Host header: which names of this service are answered (DNS rebinding).

A page of evil.example can let its name resolve to 127.0.0.1, or to an address of an internal network. Its requests are
then same-origin to the browser, and reach a server that no other site may talk to; only their Host header shows it.
Knows nothing of requests: strings come in, a bool goes out.

Source: RFC 9110 sections 7.2 and 15.5.20 (421 Misdirected Request).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

__all__ = ("LOCAL_HOSTS", "HostPolicy", "host_headers", "is_subdomain", "own_name")

LOCAL_HOSTS = ("localhost", "*.localhost", "127.0.0.1", "[::1]")
"""Names of the machine itself (RFC 6761 section 6.3)."""

_NAME = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9._-]*[a-z0-9_])?|\[[0-9a-f:.]+\]")
_HOST = re.compile(r"(?P<host>\[[0-9a-f:.]+\]|[^\s/?#@\[\]:,*]+?)\.?(?::[0-9]{1,5})?")


class HostPolicy:
    """The compiled form of a list of allowed hosts.

    Args:
        setting: Names without a port, such as ``"example.com"``, ``"127.0.0.1"``, ``"[::1]"``, or
            ``"*.example.com"`` for all subdomains.

    Raises:
        ValueError: An entry is not a name; the message contains it.
    """

    __slots__ = ("_exact", "_suffixes", "setting")

    def __init__(self, setting: Sequence[str]) -> None:
        if isinstance(setting, str):
            raise ValueError(f"allowed_hosts is {setting!r}: use a list, such as [{setting!r}].")
        self.setting = tuple(setting)
        self._exact: set[str] = set()
        self._suffixes: list[str] = []
        for entry in self.setting:
            name = entry.lower()
            if _NAME.fullmatch(name) is None:
                raise ValueError(
                    f"allowed_hosts contains {entry!r}, which is not a host name: write it without scheme, port and "
                    'path, such as "example.com", "*.example.com", "127.0.0.1" or "[::1]".'
                )
            if name.startswith("*."):
                self._suffixes.append(name[1:])
            else:
                self._exact.add(name)

    def allows(self, hosts: Sequence[str]) -> bool:
        """Return whether a request is allowed. *hosts* are the values of all its Host headers: there must be one."""
        if len(hosts) != 1:
            return False
        match = _HOST.fullmatch(hosts[0].lower())
        if match is None:
            return False
        host = match["host"]
        return host in self._exact or any(is_subdomain(host, suffix) for suffix in self._suffixes)


def is_subdomain(host: str, suffix: str) -> bool:
    """Return whether *host* is below the domain in *suffix*, such as ``".example.com"``, at any depth."""
    return host.endswith(suffix) and len(host) > len(suffix)


def host_headers(headers: Iterable[tuple[bytes, bytes]]) -> list[str]:
    """Return the values of all Host headers of an ASGI scope."""
    return [value.decode("latin-1") for name, value in headers if name == b"host"]


def own_name(host: str) -> list[str]:
    """Return *host*, an address or a name to listen on, as a browser names it; an empty list for all addresses."""
    if host in ("0.0.0.0", "::", ""):
        return []
    return [f"[{host}]" if ":" in host else host]
