"""The private names of nats-py that the hub uses exist in the version that is installed."""

from __future__ import annotations

import inspect

import nats.aio.client
import nats.aio.subscription

from falconws.hub.brokers.nats import client as client_module
from falconws.hub.brokers.nats.client import make_client


def test_the_client_has_the_private_names_that_the_hub_uses() -> None:
    client = make_client(encrypted=True)
    for name in (*client_module._TASKS, "_transport", "_server_info"):
        assert hasattr(client, name), name
    assert inspect.isfunction(nats.aio.client.Client._connect_command)
    assert "_wait_for_msgs_task" in inspect.getsource(nats.aio.subscription.Subscription.__init__)


def test_no_other_module_uses_private_names_of_the_client_library() -> None:
    from falconws.hub.brokers.nats import rooms, session, stream

    for module in (rooms, session, stream):
        assert "_client._" not in inspect.getsource(module)
        assert "subscription._" not in inspect.getsource(module)
