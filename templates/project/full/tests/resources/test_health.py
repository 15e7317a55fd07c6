from falconws.testing import Client


async def test_health_is_ok(client: Client) -> None:
    response = await client.simulate_get("/healthz")
    assert response.status_code == 200
    assert response.json == {"status": "ok"}
