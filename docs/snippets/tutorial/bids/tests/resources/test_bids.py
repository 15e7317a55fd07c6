import pytest
from falconws.testing import Client, HandshakeDenied


@pytest.fixture
async def path(client: Client) -> str:
    """The path of the bids for an item of 10."""
    item = {"title": "Lamp", "price": 10, "minutes": 5}
    response = await client.simulate_post("/items", json=item)
    return f"/items/{response.json['item_id']}/bids"


async def test_a_higher_bid_is_seen_by_all(client: Client, path: str) -> None:
    async with (
        client.websocket(f"{path}?name=ada") as ada,
        client.websocket(f"{path}?name=ben") as ben,
    ):
        await ada.send_media({"bid": 12})
        for ws in (ada, ben):
            assert await ws.receive_media() == {"price": 12, "bidder": "ada"}
        await ben.send_media({"bid": 11})
        assert "too low" in (await ben.receive_media())["error"]


async def test_a_client_that_is_late_sees_the_last_bids(client: Client, path: str) -> None:
    async with client.websocket(f"{path}?name=ada") as ada:
        await ada.send_media({"bid": 12})
        await ada.receive_media()
    async with client.websocket(f"{path}?name=ben") as ben:
        assert await ben.receive_media() == {"price": 12, "bidder": "ada"}


async def test_an_unknown_item_is_404(client: Client) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket("/items/7/bids?name=ada"):
            pass
    assert denied.value.status == 404
