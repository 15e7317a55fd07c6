"""Routes with parameters, and the ways to receive and send messages."""

import struct

import falcon
import falconws


# start: route
class MeasurementResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket, station: int) -> None:
        unit = req.get_param("unit", default="C")
        language = req.get_header("Accept-Language", default="en")
        session = req.cookies.get("session")
        if session is None:
            raise falcon.HTTPUnauthorized(description="Sign in first.")
        await ws.accept()
        await ws.send_media({"station": station, "unit": unit, "language": language})


app = falconws.App()
app.add_route("/stations/{station:int}", MeasurementResource())
# end: route


# start: binary
class UploadResource:
    """Receives BINARY messages of two bytes each, and answers each with a BINARY message of four bytes."""

    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        total = 0
        async for data in ws.iter_data():
            total += int.from_bytes(data, "big")
            await ws.send_data(struct.pack(">I", total))


# end: binary


# start: both
class EchoResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        async for payload in ws.iter_payloads():
            if isinstance(payload, str):
                await ws.send_text(payload)
            else:
                await ws.send_data(payload)


# end: both
app.add_route("/upload", UploadResource())
app.add_route("/echo", EchoResource())
