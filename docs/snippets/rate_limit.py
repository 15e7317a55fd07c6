"""A limit for the messages of one connection: a token bucket."""

import time

import falconws


# start: bucket
class TokenBucket:
    """Allows *rate* messages a second, and a burst of *burst* messages."""

    def __init__(self, rate: float, burst: int) -> None:
        self._rate = rate
        self._burst = burst
        self._tokens = float(burst)
        self._updated = time.monotonic()

    def take(self) -> bool:
        """Return whether one more message is allowed now."""
        now = time.monotonic()
        self._tokens = min(self._burst, self._tokens + (now - self._updated) * self._rate)
        self._updated = now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
        # end: bucket


# start: resource
class ChatResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        await ws.accept()
        bucket = TokenBucket(rate=5, burst=20)
        async for text in ws.iter_text():
            if not bucket.take():
                await ws.close(1008, "Too many messages")
                return
            await ws.send_text(text)
            # end: resource


app = falconws.App()
app.ws_options.allowed_origins = "same-origin"
app.add_route("/chat", ChatResource())
