"""Which server is meant, and what it is asked: URLs, paths and headers as they are typed. Connects to nothing."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from falconws_cli.errors import CommandError, RefusedError

_SCHEMES = {"ws": (False, 80), "http": (False, 80), "wss": (True, 443), "https": (True, 443)}


@dataclass(frozen=True)
class Target:
    """A WebSocket route of one server."""

    host: str
    port: int
    path: str
    """With the query, as it goes into the request."""
    tls: bool = False

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://{self.authority}{self.path}"


def parse_path(path: str) -> str:
    """Return a route of the project's own app as it goes into a request.

    Raises:
        RefusedError: It is no path.
    """
    if not path.startswith("/"):
        raise RefusedError(
            f'"{path}" is neither a URL (ws://127.0.0.1:8000/echo) nor a path of the project\'s app (/echo).'
        )
    return _checked(path)


def parse_url(url: str) -> Target:
    """Return what a ws:// or wss:// URL names; http:// and https:// mean the same.

    Raises:
        RefusedError: It names no server.
    """
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedError(f'"{url}" is no URL: {str(error).lower()}.') from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise RefusedError(f'"{url}" is no WebSocket URL; one looks like ws://127.0.0.1:8000/echo.')
    if parts.username is not None or parts.password is not None:
        raise RefusedError('Put credentials into a header, not into the URL: --header "Authorization: ...".')
    tls, usual_port = _SCHEMES[parts.scheme]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Target(parts.hostname, usual_port if port is None else port, _checked(path), tls)


def parse_header(text: str) -> tuple[str, str]:
    """Return name and value of a header that was typed as "Name: value".

    Raises:
        RefusedError: It is no header.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable() or not text.isascii():
        raise RefusedError(f'"{text}" is no header; one looks like "Authorization: Bearer token".')
    return name.strip(), value.strip()


def require_loopback(target: Target) -> None:
    """Make sure that the load stays on this machine.

    Raises:
        RefusedError: The host is, or may be, another machine.
        CommandError: The host has no address.
    """
    for address in _addresses(target):
        if not address.is_loopback:
            raise RefusedError(
                f"{target.host} is not this machine ({address}): a load test of a server that is not yours is an "
                "attack; add --allow-remote if you may."
            )


def is_loopback(target: Target) -> bool:
    """Return whether every address of the host is this machine."""
    return all(address.is_loopback for address in _addresses(target))


def _addresses(target: Target) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(target.host, target.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CommandError(f'The host "{target.host}" has no address; check the URL.') from error
    # A zone, as in fe80::1%eth0, is no part of the address.
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _checked(path: str) -> str:
    if not path.isascii() or any(character <= " " for character in path):
        raise RefusedError(f'"{path}" must be percent-encoded to go into a request.')
    return path
