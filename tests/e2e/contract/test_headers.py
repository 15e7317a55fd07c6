"""What an application answers a handshake or a request with cannot end a line, or choose what was not offered."""

from __future__ import annotations

import pytest

from .client import Peer
from .served.headers import ATTEMPTS


@pytest.mark.promise("no-line-break-in-headers")
@pytest.mark.parametrize("what", ATTEMPTS)
@pytest.mark.parametrize("where", ["accept", "deny"])
async def test_a_header_that_would_end_a_line_is_a_value_error(peer: Peer, what: str, where: str) -> None:
    connection = await peer.connect("bad-header", f"what={what}&where={where}")
    assert "X-Injected" not in (connection.response.headers if connection.response else {})
    assert (await peer.closed(connection))[0] == 4000
    assert (await peer.saw("refused"))["kinds"][0] == "ValueError"


@pytest.mark.promise("no-line-break-in-response-headers")
@pytest.mark.parametrize("what", ATTEMPTS)
async def test_a_response_header_that_would_end_a_line_is_a_500(peer: Peer, what: str) -> None:
    head, _, body = await peer.get_raw("bad-response-header", f"what={what}")
    assert head.startswith(b"HTTP/1.1 500")
    assert b"injected" not in head.lower()
    assert body == b"Internal Server Error"
    await peer.saw("asked")


@pytest.mark.promise("unoffered-subprotocol")
@pytest.mark.parametrize("offered", [[], ["chat"]])
async def test_a_subprotocol_that_was_not_offered_is_a_value_error(peer: Peer, offered: list[str]) -> None:
    connection = await peer.connect("unoffered-subprotocol", subprotocols=offered or None)
    assert connection.subprotocol is None
    assert (await peer.closed(connection))[0] == 4000
    assert (await peer.saw("refused"))["kinds"][0] == "ValueError"
