"""The private names of nats-py that the hub uses exist in the version that is installed."""

from __future__ import annotations

import inspect

import nats.aio.client
import nats.aio.subscription
import pytest

from falconws.hub.brokers.nats import library
from falconws.hub.brokers.nats.library import make_client


def test_the_client_has_the_private_names_that_the_hub_uses() -> None:
    client = make_client(encrypted=True)
    for name in (*library._TASKS, "_transport", "_server_info", "_error_cb", "_ps"):
        assert hasattr(client, name), name
    for name in ("_connect_command", "_parse_header_lines", "_process_err", "_process_headers", "_process_msg"):
        assert inspect.isfunction(getattr(nats.aio.client.Client, name)), name
    assert isinstance(client._ps.buf, bytearray)
    subscription = inspect.getsource(nats.aio.subscription.Subscription.__init__)
    assert "_wait_for_msgs_task" in subscription
    assert "self._id = id" in subscription


@pytest.mark.parametrize(
    "raw",
    [
        b"a: b\r\nC:d\r\n\r\n",
        b"Nats-Sequence: 12\r\nempty:\r\n: nameless\r\nno colon\r\n\r\n",
        b"with space: x\r\ntab\tbed: y\r\nlater: a:b  \r\n\xc3\xa9: x\r\nbad: \xff\r\n\r\n",
    ],
)
def test_headers_are_parsed_as_the_client_library_parses_them(raw: bytes) -> None:
    expected = nats.aio.client.Client._parse_header_lines(raw)
    assert make_client(encrypted=False)._parse_header_lines(raw) == expected


def test_no_other_module_uses_private_names_of_the_client_library() -> None:
    from falconws.hub.brokers.nats import jetstream, rooms, session

    for module in (jetstream, rooms, session):
        assert "_client._" not in inspect.getsource(module)
        assert "subscription._" not in inspect.getsource(module)
