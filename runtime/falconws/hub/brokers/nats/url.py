"""What a ``nats://`` or ``tls://`` URL says. Pure."""

from __future__ import annotations

import re
from urllib.parse import parse_qs, urlsplit

from falconws.hub.brokers.link import redact

__all__ = ("NatsUrl",)


class NatsUrl:
    """Where the servers are, and what the parameters ask for.

    Raises:
        ValueError: It is malformed; the message shows no credentials.
    """

    def __init__(self, url: str) -> None:
        self.name = redact(url)
        scheme, _, rest = url.partition("://")
        credentials, at, address = rest.rpartition("@")
        hosts, _, query = address.partition("?")
        self.servers = [f"{scheme}://{credentials}{at}{host}" for host in hosts.rstrip("/").split(",")]
        self.tls = scheme == "tls"
        options = {name: values[0] for name, values in parse_qs(query).items()}
        self.prefix = options.pop("prefix", "falconws")
        self.storage = options.pop("storage", "file")
        replicas = options.pop("replicas", "1")
        self.credentials = options.pop("credentials", None)
        if scheme not in ("nats", "tls") or not hosts:
            raise ValueError(f"{self.name}: use nats://host:port, or tls://host:port.")
        for server in self.servers:
            try:
                usable = bool(urlsplit(server).hostname) and urlsplit(server).port != 0
            except ValueError:
                usable = False
            if not usable:
                raise ValueError(f"{self.name}: not a host and port.")
        if not re.fullmatch(r"[\w-]+", self.prefix, re.ASCII):
            raise ValueError(f"{self.name}: prefix takes letters, digits, _ and -.")
        if self.storage not in ("file", "memory"):
            raise ValueError(f"{self.name}: storage is file or memory.")
        if replicas not in ("1", "3", "5"):
            raise ValueError(f"{self.name}: replicas is 1, 3 or 5.")
        if options:
            raise ValueError(f"{self.name}: unknown parameter {sorted(options)[0]!r}.")
        self.replicas = int(replicas)
