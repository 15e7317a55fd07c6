import pytest
from falconws.testing import Client, HandshakeDenied


async def test_each_text_comes_back(client: Client) -> None:
    async with client.websocket("/echo") as ws:
        for text in ("hello", "", "Grüße, 世界"):
            await ws.send_text(text)
            assert await ws.receive_text() == text


async def test_a_page_of_another_origin_cannot_open_a_websocket(client: Client) -> None:
    with pytest.raises(HandshakeDenied) as denied:
        async with client.websocket("/echo", headers={"Origin": "https://elsewhere.example"}):
            pass
    assert denied.value.status == 403
