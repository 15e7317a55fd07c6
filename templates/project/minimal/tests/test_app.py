from falconws.testing import Client


async def test_each_text_comes_back(client: Client) -> None:
    async with client.websocket("/echo") as ws:
        for text in ("hello", "", "Grüße, 世界"):
            await ws.send_text(text)
            assert await ws.receive_text() == text
