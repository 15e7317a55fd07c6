import falconws
import pytest
from falconws.testing import Client, HandshakeDenied, check_conversations
from falconws.typed import CallError, Joined, Welcome

from demo.messages import Bid, Bidder, Bidding, Price


@pytest.fixture
async def path(client: Client) -> str:
    """The path of the bids for an item of 10."""
    item = {"title": "Lamp", "price": 10, "minutes": 5}
    response = await client.simulate_post("/items", json=item)
    return f"/items/{response.json['item_id']}/bids"


async def test_a_higher_bid_is_seen_by_all(client: Client, path: str) -> None:
    async with (
        client.converse(Bidding, path, query=Bidder("ada")) as ada,
        client.converse(Bidding, path, query=Bidder("ben")) as ben,
    ):
        assert (await ada.call(Bid(amount=12))).price == 12
        for bidder in (ada, ben):
            assert (await bidder.receive_until(Price)).bidder == "ada"
        with pytest.raises(CallError) as refused:
            await ben.call(Bid(amount=11))
        assert refused.value.code == "refused"


async def test_bidders_see_who_is_present(client: Client, path: str) -> None:
    async with client.converse(Bidding, path, query=Bidder("ada")) as ada:
        assert (await ada.receive(Welcome)).present == ["ada"]
        await ada.receive(Joined)
        async with client.converse(Bidding, path, query=Bidder("ben")):
            assert (await ada.receive(Joined)).member == "ben"


async def test_a_bidder_who_reconnects_sees_what_was_missed(client: Client, path: str) -> None:
    async with client.converse(Bidding, path, query=Bidder("ada")) as ada:
        position = (await ada.receive(Welcome)).position
        await ada.call(Bid(amount=12))
        again = {"name": "ben", "since": position}
        async with client.converse(Bidding, path, query=again) as ben:
            assert (await ben.receive_until(Price)).price == 12


async def test_an_unknown_item_is_404(client: Client) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.converse(Bidding, "/items/7/bids", query=Bidder("ada")):
            pass
    assert denied.value.status == 404


def test_the_contract_holds(app: falconws.App) -> None:
    check_conversations(app)
