import falconws
import pytest
from falconws.testing import Client


async def test_each_text_comes_back(client: Client) -> None:
    async with client.websocket("/echo") as ws:
        for text in ("hello", "", "Grüße, 世界"):
            await ws.send_text(text)
            assert await ws.receive_text() == text


async def test_binary_data_is_refused(client: Client) -> None:
    async with client.websocket("/echo") as ws:
        await ws.send_data(b"\x00")
        with pytest.raises(falconws.WebSocketDisconnected) as closed:
            await ws.receive_text()
        assert closed.value.code == falconws.CloseCode.UNSUPPORTED_DATA


async def test_http_echoes_a_query_parameter(client: Client) -> None:
    response = await client.simulate_get("/echo", params={"text": "hello"})
    assert response.text == "hello"
    assert response.headers["content-type"].startswith("text/plain")
