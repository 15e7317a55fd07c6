"""Rate limits: for the messages of each connection, and for those of one user over all connections."""

import time
from collections import OrderedDict

import falconws


# start: bucket
class UserLimits:
    """Allows each user *rate* messages a second on average, and bursts of *burst* messages. For one process."""

    def __init__(self, rate: float, burst: int, max_users: int = 10_000) -> None:
        self._rate = rate
        self._burst = burst
        self._max_users = max_users
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def take(self, user: str) -> bool:
        """Return whether *user* may send one more message now."""
        now = time.monotonic()
        tokens, updated = self._tokens.pop(user, (float(self._burst), now))
        tokens = min(self._burst, tokens + (now - updated) * self._rate)
        allowed = tokens >= 1
        self._tokens[user] = (tokens - 1 if allowed else tokens, now)
        if len(self._tokens) > self._max_users:
            self._tokens.popitem(last=False)
        return allowed
        # end: bucket


limits = UserLimits(rate=5, burst=20)


# start: resource
class ChatResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        user = req.get_param("user", required=True)
        await ws.accept()
        async for text in ws.iter_text():
            if not limits.take(user):
                await ws.close(1008, "Too many messages")
                return
            await ws.send_text(text)
            # end: resource


app = falconws.App()
app.ws_options.allowed_origins = "same-origin"
# start: option
app.ws_options.rate_limit = falconws.RateLimit.slow_down(messages_per_s=20, bytes_per_s=65_536)
# end: option
app.add_route("/chat", ChatResource())
