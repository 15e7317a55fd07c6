from collections import deque


class Member:
    """One connection that hears what everybody says."""

    def __init__(self, connection):
        self.connection = connection
        self.behind = deque(maxlen=100)

    def tell(self, prepared):
        if self.behind or not self.connection.try_send_prepared(prepared):
            if not self.behind:
                self.connection.add_writable_callback(self.catch_up)
            self.behind.append(prepared)

    def catch_up(self):
        if self.connection.closed:
            return
        # A message that is refused now, and not for those before it, is too large.
        self.connection.try_send_prepared(self.behind.popleft())
        while self.behind and self.connection.try_send_prepared(self.behind[0]):
            self.behind.popleft()
        if self.behind:
            self.connection.add_writable_callback(self.catch_up)


members = set()


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    member = Member(scope["extensions"]["falconws.connection"])
    await receive()
    await send({"type": "websocket.accept"})
    members.add(member)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            prepared = member.connection.prepare(event.get("text") or event["bytes"])
            for other in members:
                other.tell(prepared)
    finally:
        members.discard(member)
