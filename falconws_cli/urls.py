"""Parses URLs, paths and headers of WebSocket routes as they are typed. Opens no connection."""

import ipaddress
import socket
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from falconws_cli.errors import CommandError, RefusedError

_SCHEMES = {"ws": (False, 80), "http": (False, 80), "wss": (True, 443), "https": (True, 443)}


@dataclass(frozen=True)
class WebSocketUrl:
    """A WebSocket route of one server."""

    host: str
    port: int
    path: str
    """The path with its query, percent-encoded."""
    tls: bool = False

    @property
    def authority(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"{'wss' if self.tls else 'ws'}://{self.authority}{self.path}"


def parse_path(path: str) -> str:
    """Check the path of a route of the project's own app.

    Raises:
        RefusedError: It is not a path.
    """
    if not path.startswith("/"):
        raise RefusedError(
            f'"{path}" is neither a URL (ws://127.0.0.1:8000/echo) nor a path of the project\'s app (/echo).'
        )
    return _checked(path)


def parse_url(url: str) -> WebSocketUrl:
    """Parse a ws:// or wss:// URL; http:// and https:// mean the same.

    Raises:
        RefusedError: It is not a URL of a WebSocket route.
    """
    try:
        parts: SplitResult = urlsplit(url)
        port = parts.port
    except ValueError as error:
        raise RefusedError(f'"{url}" is not a valid URL: {str(error).lower()}.') from error
    if parts.scheme not in _SCHEMES or not parts.hostname:
        raise RefusedError(f'"{url}" is not a WebSocket URL; an example is ws://127.0.0.1:8000/echo.')
    if parts.username is not None or parts.password is not None:
        raise RefusedError('Put credentials into a header, not into the URL: --header "Authorization: ...".')
    tls, usual_port = _SCHEMES[parts.scheme]
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return WebSocketUrl(parts.hostname, usual_port if port is None else port, _checked(path), tls)


def parse_header(text: str) -> tuple[str, str]:
    """Parse a header that is typed as "Name: value".

    Raises:
        RefusedError: It is not a valid header.
    """
    name, colon, value = text.partition(":")
    if not colon or not name.strip() or not text.isprintable() or not text.isascii():
        raise RefusedError(f'"{text}" is not a header; an example is "Authorization: Bearer token".')
    return name.strip(), value.strip()


def require_loopback(url: WebSocketUrl) -> None:
    """Refuse a host that is not this machine.

    Raises:
        RefusedError: An address of the host is another machine's.
        CommandError: The host has no address.
    """
    for address in _addresses(url):
        if not address.is_loopback:
            raise RefusedError(
                f"{url.host} is not this machine ({address}): a load test of somebody else's server is an attack; "
                "add --allow-remote if you have permission."
            )


def is_loopback(url: WebSocketUrl) -> bool:
    """Return whether every address of the host belongs to this machine."""
    return all(address.is_loopback for address in _addresses(url))


def _addresses(url: WebSocketUrl) -> list[ipaddress.IPv4Address | ipaddress.IPv6Address]:
    try:
        found = socket.getaddrinfo(url.host, url.port, type=socket.SOCK_STREAM)
    except (OSError, UnicodeError) as error:
        raise CommandError(f'The host "{url.host}" has no address; check the URL.') from error
    # The zone, as in fe80::1%eth0, is not part of the address.
    return [ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found]


def _checked(path: str) -> str:
    if not path.isascii() or any(character <= " " for character in path):
        raise RefusedError(f'"{path}" is not percent-encoded, which a request needs.')
    return path
