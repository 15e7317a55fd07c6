"""Custom media handlers: another JSON library for TEXT, CBOR for BINARY."""

import cbor2
import falconws
import orjson


# start: text
class OrjsonHandler(falconws.TextBaseHandlerWS):
    def serialize(self, media: object) -> str:
        return orjson.dumps(media).decode()

    def deserialize(self, payload: str) -> object:
        media: object = orjson.loads(payload)
        return media
        # end: text


# start: binary
class CBORHandler(falconws.BinaryBaseHandlerWS):
    def serialize(self, media: object) -> bytes:
        return cbor2.dumps(media)

    def deserialize(self, payload: bytes) -> object:
        try:
            return cbor2.loads(payload)
        except cbor2.CBORError as error:
            # A payload that cannot be decoded must be a ValueError.
            raise ValueError(f"Not CBOR: {error}") from error
            # end: binary


class MirrorResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        # start: use
        async for message in ws:
            await ws.send_media(message, payload_type=falconws.WebSocketPayloadType.BINARY)
            # end: use


app = falconws.App()
# start: register
app.ws_options.media_handlers[falconws.WebSocketPayloadType.TEXT] = OrjsonHandler()
app.ws_options.media_handlers[falconws.WebSocketPayloadType.BINARY] = CBORHandler()
# end: register
app.add_route("/mirror", MirrorResource())
