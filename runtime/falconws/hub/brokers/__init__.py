"""The brokers that ship with falconws, and the mapping from a URL's scheme to its broker.

Each adapter is imported when it is needed, with its client library. Nothing here knows rooms' followers or connections.
"""

from __future__ import annotations

from importlib import import_module

from falconws.hub.broker import Broker
from falconws.hub.history_rules import RoomHistory
from falconws.hub.limits import HubLimits

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
    "redis+sentinel",
    "rediss+sentinel",
    "valkey+sentinel",
    "valkeys+sentinel",
    "unix",
)

_BROKERS = {
    "memory": (".memory", "MemoryBroker"),
    **dict.fromkeys(_REDIS, (".redis.broker", "RedisBroker")),
    **dict.fromkeys(("nats", "tls"), (".nats.broker", "NatsBroker")),
}
"""The module and class for each URL scheme."""


def make_broker(url: str, *, history: RoomHistory | None, timeout_s: float, limits: HubLimits) -> Broker:
    """Return a broker for *url* that is not started yet.

    Raises:
        ValueError: No broker has this scheme, the URL is malformed, or the client library is not installed.
    """
    scheme, rest = split_url(url)
    if scheme not in _BROKERS:
        raise ValueError(f"Hub: no broker for {redact(url)}; use one of {', '.join(map('{}://'.format, _BROKERS))}.")
    module, name = _BROKERS[scheme]
    broker: Broker = getattr(import_module(module, __package__), name)(
        f"{scheme}://{rest}", history=history, timeout_s=timeout_s, limits=limits
    )
    return broker
