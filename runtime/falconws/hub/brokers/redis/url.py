"""What a ``redis://`` URL says, and the connections that are made by it.

Knows neither rooms nor members.
"""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from falconws.hub.brokers.link import describe, redact

__all__ = ("RedisUrl", "load_redis")

_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
_SET_HERE = {"protocol", "max_connections", "timeout", "socket_timeout", "socket_connect_timeout"}
_PORT = 6379


def load_redis() -> Any:
    """Return the client library.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import redis.asyncio
    except ImportError:
        raise ValueError('The hub needs redis-py for this URL: pip install "falconws[redis]"') from None
    return redis


class RedisUrl:
    """What the URL of a server or of a cluster says.

    Raises:
        ValueError: It is malformed, or redis-py is not installed.
    """

    def __init__(self, url: str) -> None:
        redis = load_redis()
        self.name = redact(url)
        scheme, _, rest = url.partition("://")
        scheme, _, kind = scheme.lower().partition("+")
        if scheme not in _SCHEMES or kind not in ("", "cluster") or (kind and scheme == "unix"):
            raise ValueError(f"{self.name}: use redis://, rediss://, redis+cluster:// or unix://.")
        self.cluster = kind == "cluster"
        credentials, at, rest = rest.rpartition("@")
        netloc, slash, tail = rest.partition("/")
        hosts = netloc.split(",") if self.cluster else [netloc]
        try:
            parts = urlsplit(f"{_SCHEMES[scheme]}://{credentials}{at}{hosts[0]}{slash}{tail}")
            query = parse_qs(parts.query)
            self.prefix = query.pop("prefix", ["falconws"])[0]
            plain = parts._replace(query=urlencode(query, doseq=True)).geturl()
            self.options: dict[str, Any] = dict(redis.asyncio.connection.parse_url(plain))
            self._other_seeds = [_host_and_port(host) for host in hosts[1:]]
        except ValueError as error:
            # urllib repeats the part that it cannot read, and that may be a piece of a password.
            raise ValueError(f"{self.name}: not a URL of a Redis server.") from error.__cause__
        if not self.prefix or set(self.prefix) & set("{}"):
            raise ValueError(f"{self.name}: prefix must be a name without braces.")
        if parts.scheme != "unix" and not re.fullmatch(r"/?\d*", parts.path, re.ASCII):
            # redis-py would take it for 0.
            raise ValueError(f"{self.name}: the number of the database is missing after the last slash.")
        if set_here := sorted(_SET_HERE & query.keys()):
            raise ValueError(f"{self.name}: {set_here[0]} is set by the hub (see timeout_s); leave it out.")
        try:
            self.connection(timeout_s=1.0)
        except TypeError as error:
            raise ValueError(f"{self.name}: redis-py does not take these parameters: {describe(error)}.") from None

    @property
    def namespace(self) -> str:
        """What all keys and channels begin with; databases share the channels of their server, so it has the number."""
        database = self.options.get("db") or 0
        # Braces, which a prefix cannot have.
        return self.prefix if self.cluster or not database else f"{self.prefix}{{{database}}}"

    @property
    def seeds(self) -> list[str]:
        """ "host:port" of the servers of a cluster that are asked for the others."""
        hosts = [(self.options.get("host", "localhost"), self.options.get("port", _PORT)), *self._other_seeds]
        return [f"{host}:{port}" for host, port in hosts]

    def connection(self, place: str = "", *, timeout_s: float) -> Any:
        """Return a new connection of redis-py's, not opened yet; *place* ("host:port") is another than the URL's."""
        from redis.asyncio.connection import Connection
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        options = {
            **self.options,
            "protocol": 2,
            # A second attempt of redis-py's own would publish twice: the first may have been carried out.
            "retry": Retry(NoBackoff(), 0),
            # It waits with asyncio.wait_for(), which loses cancellations before Python 3.12.
            "socket_timeout": None,
            "socket_connect_timeout": timeout_s,
        }
        connection_class = options.pop("connection_class", Connection)
        if self.cluster:
            options.pop("db", None)
        if place:
            options["host"], options["port"] = _host_and_port(place)
        return connection_class(**options)


def _host_and_port(text: str) -> tuple[str, int]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, _PORT
    return host, int(port)
