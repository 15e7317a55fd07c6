"""The brokers that come with falconws, and which of them a URL means.

Each is imported when it is asked for: most applications need one, and have its client library only.
"""

from __future__ import annotations

from importlib import import_module

from falconws.hub.broker import Broker, HistoryLimits

from .url import redact, split_url

__all__ = ("make_broker",)

_REDIS = (
    "redis",
    "rediss",
    "redis+cluster",
    "rediss+cluster",
    "valkey",
    "valkeys",
    "valkey+cluster",
    "valkeys+cluster",
    "unix",
)

_BROKERS = {
    "memory": (".memory", "MemoryBroker"),
    **dict.fromkeys(_REDIS, (".redis.broker", "RedisBroker")),
    **dict.fromkeys(("nats", "tls"), (".nats.broker", "NatsBroker")),
}
"""The module and the class for each scheme of a URL."""


def make_broker(url: str, *, history: HistoryLimits | None, timeout_s: float) -> Broker:
    """Return a broker that is not started yet.

    Raises:
        ValueError: There is none for *url*, or a package that it needs is not installed.
    """
    scheme, rest = split_url(url)
    if scheme not in _BROKERS:
        raise ValueError(f"Hub: no broker for {redact(url)}; use one of {', '.join(map('{}://'.format, _BROKERS))}.")
    module, name = _BROKERS[scheme]
    broker: Broker = getattr(import_module(module, __package__), name)(
        f"{scheme}://{rest}", history=history, timeout_s=timeout_s
    )
    return broker
