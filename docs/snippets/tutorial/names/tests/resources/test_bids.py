import falconws
import pytest
from falconws.testing import Client, HandshakeDenied, check_conversations
from falconws.typed import CallError, Welcome

from demo.messages import Bid, Bidding, Price


@pytest.fixture
async def path(client: Client) -> str:
    """The path of the bids for an item of 10."""
    item = {"title": "Lamp", "price": 10, "minutes": 5}
    response = await client.simulate_post("/items", json=item)
    return f"/items/{response.json['item_id']}/bids"


async def test_a_higher_bid_is_seen_by_all(client: Client, path: str) -> None:
    async with (
        client.converse(Bidding, path) as ada,
        client.converse(Bidding, path) as ben,
    ):
        assert (await ada.call(Bid(amount=12))).price == 12
        for bidder in (ada, ben):
            assert (await bidder.receive_until(Price)).bidder == "tests"
        with pytest.raises(CallError) as refused:
            await ben.call(Bid(amount=11))
        assert refused.value.code == "refused"


async def test_a_bidder_has_the_name_of_the_token(client: Client, path: str) -> None:
    async with client.converse(Bidding, path) as bidder:
        assert (await bidder.receive(Welcome)).present == ["tests"]


async def test_a_bidder_without_a_token_is_401(client: Client, path: str) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket(path, headers={"Authorization": ""}):
            pass
    assert denied.value.status == 401


async def test_a_bidder_who_reconnects_sees_what_was_missed(client: Client, path: str) -> None:
    async with client.converse(Bidding, path) as ada:
        position = (await ada.receive(Welcome)).position
        await ada.call(Bid(amount=12))
        async with client.converse(Bidding, path, query={"since": position}) as ben:
            assert (await ben.receive_until(Price)).price == 12


async def test_an_unknown_item_is_404(client: Client) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.converse(Bidding, "/items/7/bids"):
            pass
    assert denied.value.status == 404


def test_the_contract_holds(app: falconws.App) -> None:
    check_conversations(app)
