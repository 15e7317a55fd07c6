"""What a NATS server does not take is told before it is sent: the server would cut the connection of all rooms."""

from __future__ import annotations

import pytest

from tests.e2e.hub.recorder import WAIT_S, following, make_hub
from tests.e2e.hub.servers import Nats

MAX_PAYLOAD = 1_048_576
"""The server's default."""


@pytest.mark.parametrize("below", [-1, 0, 30])
async def test_a_message_that_is_too_large_with_its_headers_is_refused_and_cuts_nobody_off(
    below: int, nats: Nats
) -> None:
    room = f"limit-{below}"
    async with make_hub(nats.url, timeout_s=WAIT_S) as hub, following(hub, room) as follower:
        with pytest.raises(ValueError, match="max_payload is 1048576"):
            await hub.publish(room, "x" * (MAX_PAYLOAD - below))
        assert (await hub.health()).ok
        await hub.publish(room, "after")
        await follower.until(lambda: bool(follower.events), "the next message comes")
        assert follower.payloads == ["after"]


async def test_a_message_that_just_fits_is_delivered(nats: Nats) -> None:
    async with make_hub(nats.url, timeout_s=WAIT_S) as hub, following(hub, "just") as follower:
        await hub.publish("just", "x" * (MAX_PAYLOAD - 200))
        await follower.until(lambda: bool(follower.events), "it comes")
        assert len(follower.payloads[0]) == MAX_PAYLOAD - 200
