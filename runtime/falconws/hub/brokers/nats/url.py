"""Parses ``nats://`` and ``tls://`` URLs. Pure."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from falconws.hub.brokers.url import read_host, read_query, redact, split_url

__all__ = ("NatsUrl",)


class NatsUrl:
    """The servers and parameters in a URL.

    Raises:
        ValueError: It is malformed; the message shows no credentials.
    """

    def __init__(self, url: str) -> None:
        scheme, rest = split_url(url)
        self.name = redact(url)
        credentials, at, address = rest.rpartition("@")
        address, _, query = address.partition("?")
        hosts = address.rstrip("/").split(",")
        self.servers = [f"{scheme}://{credentials}{at}{host}" for host in hosts]
        self.tls = scheme == "tls"
        options = read_query(self.name, query)
        self.prefix = options.pop("prefix", "falconws")
        self.storage = options.pop("storage", "file")
        replicas = options.pop("replicas", "1")
        self.credentials = options.pop("credentials", None)
        if scheme not in ("nats", "tls") or not address:
            raise ValueError(f"{self.name}: use nats://host:port, or tls://host:port.")
        if "/" in address.rstrip("/"):
            raise ValueError(f"{self.name}: write the servers as nats://host:port,host:port, and nothing after them.")
        for host in hosts:
            try:
                read_host(host)
                usable = urlsplit(f"//{credentials}{at}{host}").netloc == f"{credentials}{at}{host}"
            except ValueError:
                usable = False
            if not usable:
                raise ValueError(f"{self.name}: not a host and port.")
        if not re.fullmatch(r"[\w-]+", self.prefix, re.ASCII):
            raise ValueError(f"{self.name}: prefix may contain letters, digits, _ and -.")
        if self.storage not in ("file", "memory"):
            raise ValueError(f"{self.name}: storage must be file or memory.")
        if replicas not in ("1", "3", "5"):
            raise ValueError(f"{self.name}: replicas must be 1, 3 or 5.")
        if options:
            raise ValueError(f"{self.name}: unknown parameter {sorted(options)[0]!r}.")
        self.replicas = int(replicas)
