import pytest
from falconws.testing import Client

PATH = "/items"


async def test_an_item_is_added(client: Client) -> None:
    response = await client.simulate_post(PATH, json={"title": "Lamp", "price": 10, "minutes": 5})
    assert response.status_code == 201
    assert response.json["title"] == "Lamp"
    assert (await client.simulate_get(PATH)).json == {"items": [response.json]}


@pytest.mark.parametrize(
    "media", [{}, {"title": "Lamp"}, {"title": "Lamp", "price": 10, "minutes": 0}, ["Lamp"], None]
)
async def test_anything_else_is_rejected(client: Client, media: object) -> None:
    response = await client.simulate_post(PATH, json=media)
    assert response.status_code == 400
    assert (await client.simulate_get(PATH)).json == {"items": []}
