"""What a ``redis://`` URL says, and the connections that are made by it.

Knows neither rooms nor members.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlencode, urlsplit

from falconws.hub.brokers.url import describe, read_host, read_query, redact, split_url

__all__ = ("RedisUrl", "load_redis")

_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
_SET_HERE = {
    *("timeout", "socket_timeout", "socket_connect_timeout", "retry", "retry_on_timeout", "retry_on_error"),
    *("protocol", "max_connections", "parser_class"),
    *("decode_responses", "encoding", "encoding_errors", "encoder_class"),
}
_TAKEN = {"username", "password", "client_name", "lib_name", "lib_version", "socket_keepalive"}
"""What a URL may say of a connection, beside numbers and all of ``ssl_...``: of the rest most can be no text."""
_NUMBERS = {"db": r"\d+", "health_check_interval": r"\d+", "socket_read_size": r"[1-9]\d*"}
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
        scheme, rest = split_url(url)
        self.name = redact(url)
        scheme, _, kind = scheme.partition("+")
        if scheme not in _SCHEMES or kind not in ("", "cluster") or (kind and scheme == "unix"):
            raise ValueError(f"{self.name}: use redis://, rediss://, redis+cluster:// or unix://.")
        self.cluster = kind == "cluster"
        credentials, at, rest = rest.rpartition("@")
        address, mark, query = rest.partition("?")
        netloc, slash, path = address.partition("/")
        if "," in netloc and not self.cluster:
            raise ValueError(f"{self.name}: several servers are a cluster: redis+cluster://host:port,host:port.")
        if not netloc and self.cluster:
            raise ValueError(f"{self.name}: name a server at least, redis+cluster://host:port.")
        hosts = netloc.split(",") if self.cluster else [netloc]
        try:
            # For a server of its own redis-py has a default.
            places = [read_host(host) for host in hosts if host or self.cluster]
            parts = urlsplit(f"{_SCHEMES[scheme]}://{credentials}{at}{hosts[0]}{slash}{path}{mark}{query}")
            if (parts.netloc, parts.query) != (f"{credentials}{at}{hosts[0]}", query) or (scheme == "unix" and netloc):
                raise ValueError("what has to be encoded, such as a slash in the password, is not")
        except ValueError:
            # Nothing of it is repeated: it may be a piece of a password.
            raise ValueError(f"{self.name}: not a URL of a Redis server.") from None
        parameters = read_query(self.name, query)
        self.prefix = parameters.pop("prefix", "falconws")
        if set(self.prefix) & set("{}"):
            raise ValueError(f"{self.name}: prefix must be a name without braces.")
        self._check(parameters)
        if scheme != "unix":
            self._check_database(path, parameters)
        plain = parts._replace(query=urlencode(parameters)).geturl()
        try:
            self.options: dict[str, Any] = dict(redis.asyncio.connection.parse_url(plain))
            self.connection(timeout_s=1.0)
        except (TypeError, ValueError, redis.exceptions.RedisError) as error:
            raise ValueError(f"{self.name}: redis-py does not take these parameters: {describe(error)}.") from None
        self.seeds = [f"{host}:{port or _PORT}" for host, port in places]
        """ "host:port" of the servers of a cluster that are asked for the others."""

    def _check(self, parameters: Mapping[str, str]) -> None:
        for name, value in sorted(parameters.items()):
            if name in _SET_HERE:
                where = " (see timeout_s)" if "timeout" in name else ""
                raise ValueError(f"{self.name}: {name} is set by the hub{where}; leave it out.")
            if not (name in _TAKEN or name in _NUMBERS or name.startswith("ssl_")):
                raise ValueError(f"{self.name}: unknown parameter {name!r}.")
            if name in _NUMBERS and not re.fullmatch(_NUMBERS[name], value, re.ASCII):
                raise ValueError(f"{self.name}: {name} cannot be {value!r}.")

    def _check_database(self, path: str, parameters: Mapping[str, str]) -> None:
        if not re.fullmatch(r"\d*", path, re.ASCII):
            # redis-py would take it for 0.
            raise ValueError(f"{self.name}: the number of the database is missing after the last slash.")
        if path and "db" in parameters:
            raise ValueError(f"{self.name}: two databases, one after the slash and one as db; leave out one.")
        if self.cluster and int(path or parameters.get("db", "0")) != 0:
            raise ValueError(f"{self.name}: a cluster has no databases; leave out the number.")

    @property
    def channel_suffix(self) -> str:
        """What all channels end with. Databases have keys of their own, and share the channels of their server."""
        database = self.options.get("db") or 0
        return "" if self.cluster or not database else f"@{database}"

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
            options["host"], _, port = place.rpartition(":")
            options["port"] = int(port)
        return connection_class(**options)
