"""Parses ``redis://`` URLs, and makes redis-py connections from them. Knows neither rooms nor members."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, urlencode, urlsplit

from falconws.hub.brokers.url import describe, read_host, read_query, redact, split_url

__all__ = ("RedisUrl", "load_redis")

_SCHEMES = {"redis": "redis", "rediss": "rediss", "valkey": "redis", "valkeys": "rediss", "unix": "unix"}
_SET_BY_HUB = {
    *("timeout", "socket_timeout", "socket_connect_timeout", "retry", "retry_on_timeout", "retry_on_error"),
    *("health_check_interval", "protocol", "max_connections", "parser_class"),
    *("decode_responses", "encoding", "encoding_errors", "encoder_class"),
}
_ALLOWED = {"username", "password", "client_name", "lib_name", "lib_version", "socket_keepalive"}
"""redis-py's parameters that a URL may set, besides the numbers and all of ``ssl_...``."""
_NUMBERS = {"db": r"\d+", "socket_read_size": r"[1-9]\d*"}
_PORT = 6379
_SENTINEL_PORT = 26379


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
    """The settings in the URL of a server or of a cluster.

    Raises:
        ValueError: The URL is malformed, or redis-py is not installed.
    """

    def __init__(self, url: str) -> None:
        load_redis()
        self.name = redact(url)
        scheme, rest = split_url(url)
        scheme, _, kind = scheme.partition("+")
        if scheme not in _SCHEMES or kind not in ("", "cluster", "sentinel") or (kind and scheme == "unix"):
            raise ValueError(f"{self.name}: use redis://, rediss://, redis+cluster://, redis+sentinel:// or unix://.")
        self.cluster = kind == "cluster"
        self.sentinel = kind == "sentinel"
        credentials, at, address = rest.rpartition("@")
        address, _, query = address.partition("?")
        hosts, slash, path = address.partition("/")
        self.service = ""
        """The name by which Sentinel knows the server."""
        if self.sentinel:
            self.service, slash, path = path.partition("/")
            if not self.service:
                raise ValueError(f"{self.name}: name the service, redis+sentinel://host:port/service.")
        self.seeds = self._read_hosts(hosts)
        """ "host:port" of the servers of a cluster that are asked first, or of the sentinels."""
        host = hosts.split(",")[0]
        parts = self._split(f"{_SCHEMES[scheme]}://{credentials}{at}{host}{slash}{path}", f"{credentials}{at}{host}")
        if scheme == "unix" and hosts:
            raise self._malformed()
        parameters = read_query(self.name, query)
        self.prefix = parameters.pop("prefix", "falconws")
        if set(self.prefix) & set("{}"):
            raise ValueError(f"{self.name}: prefix must be a name without braces.")
        self._sentinel_options = {
            name: parameters.pop(f"sentinel_{name}")
            for name in ("username", "password")
            if f"sentinel_{name}" in parameters
        }
        self._remap = self._read_remap(parameters.pop("remap", ""))
        self._check_parameters(parameters)
        if scheme != "unix":
            self._check_database(path, parameters)
        try:
            plain = parts._replace(query=urlencode(parameters)).geturl()
            self.options: dict[str, Any] = dict(load_redis().asyncio.connection.parse_url(plain))
            self.connection(timeout_s=1.0)
        except (TypeError, ValueError, load_redis().exceptions.RedisError) as error:
            raise ValueError(f"{self.name}: redis-py does not accept these parameters: {describe(error)}.") from None

    def _malformed(self) -> ValueError:
        # The message does not repeat the URL: part of it may be a password.
        return ValueError(f"{self.name}: not a URL of a Redis server.")

    def _read_hosts(self, hosts: str) -> list[str]:
        if not (self.cluster or self.sentinel):
            if "," in hosts:
                raise ValueError(
                    f"{self.name}: several servers are a cluster, redis+cluster://host:port,host:port, or sentinels, "
                    "redis+sentinel://host:port,host:port/service."
                )
            if not hosts:
                # redis-py has a default.
                return []
        elif not hosts:
            raise ValueError(f"{self.name}: name at least one server, redis+cluster://host:port.")
        default = _SENTINEL_PORT if self.sentinel else _PORT
        try:
            return [f"{host}:{port or default}" for host, port in map(read_host, hosts.split(","))]
        except ValueError:
            raise self._malformed() from None

    def _read_remap(self, text: str) -> dict[str, str]:
        pairs = [pair.partition("=") for pair in text.split(",") if text]
        try:
            for announced, _, real in pairs:
                read_host(announced)
                read_host(real)
        except ValueError:
            raise ValueError(f"{self.name}: remap has to be ANNOUNCED=REAL,..., each host:port.") from None
        return {announced: real for announced, _, real in pairs}

    def reachable(self, node: str) -> str:
        """Return the address at which *node*, as a cluster or Sentinel announces it, can be reached."""
        if node in self._remap:
            return self._remap[node]
        host, _, port = node.rpartition(":")
        return f"{self._remap[host]}:{port}" if host in self._remap else node

    def _split(self, url: str, netloc: str) -> SplitResult:
        try:
            parts = urlsplit(url)
        except ValueError:
            raise self._malformed() from None
        if parts.netloc != netloc:
            # A slash in the password, for example, that is not percent-encoded.
            raise self._malformed()
        return parts

    def _check_parameters(self, parameters: Mapping[str, str]) -> None:
        for name, value in sorted(parameters.items()):
            if name in _SET_BY_HUB:
                where = " (see timeout_s)" if "timeout" in name or "interval" in name else ""
                raise ValueError(f"{self.name}: {name} is set by the hub{where}; leave it out.")
            if not (name in _ALLOWED or name in _NUMBERS or name.startswith("ssl_")):
                raise ValueError(f"{self.name}: unknown parameter {name!r}.")
            if name in _NUMBERS and not re.fullmatch(_NUMBERS[name], value, re.ASCII):
                raise ValueError(f"{self.name}: {name} cannot be {value!r}.")

    def _check_database(self, path: str, parameters: Mapping[str, str]) -> None:
        if not re.fullmatch(r"\d*", path, re.ASCII):
            # redis-py would use database 0.
            raise ValueError(f"{self.name}: the number of the database is missing after the last slash.")
        if path and "db" in parameters:
            raise ValueError(f"{self.name}: two databases, one after the slash and one as db; leave out one.")
        if self.cluster and int(path or parameters.get("db", "0")) != 0:
            raise ValueError(f"{self.name}: a cluster has no databases; leave out the number.")

    @property
    def channel_suffix(self) -> str:
        """The end of all channel names. Databases have keys of their own, but share the channels of their server."""
        database = self.options.get("db") or 0
        return "" if self.cluster or not database else f"@{database}"

    def connection(self, node: str = "", *, timeout_s: float, to_sentinel: bool = False) -> Any:
        """Return a new connection of redis-py that is not open yet; *node* ("host:port") replaces the URL's server."""
        from redis.asyncio.connection import Connection
        from redis.asyncio.retry import Retry
        from redis.backoff import NoBackoff

        options = {
            **self.options,
            "protocol": 2,
            # A retry by redis-py would publish twice: the server may have executed the first attempt.
            "retry": Retry(NoBackoff(), 0),
            # redis-py waits with asyncio.wait_for(), which loses cancellations before Python 3.12.
            "socket_timeout": None,
            "socket_connect_timeout": timeout_s,
        }
        connection_class = options.pop("connection_class", Connection)
        if self.cluster or to_sentinel:
            options.pop("db", None)
        if to_sentinel:
            for name in ("username", "password"):
                options.pop(name, None)
            options.update(self._sentinel_options)
        if node:
            options["host"], _, port = node.rpartition(":")
            options["port"] = int(port)
        return connection_class(**options)
