from collections import deque

ready = set()
behind = {}


def broadcast(connection, payload):
    prepared = connection.prepare(payload)
    for waiting in behind.values():
        waiting.append(prepared)
    for slow in connection.broadcast(ready, prepared):
        ready.discard(slow)
        behind[slow] = deque([prepared], maxlen=100)
        slow.add_writable_callback(lambda slow=slow: catch_up(slow))


def catch_up(connection):
    if connection.closed or connection not in behind:
        return
    waiting = behind[connection]
    # If the first message is refused now, it is too large.
    connection.try_send_prepared(waiting.popleft())
    while waiting and connection.try_send_prepared(waiting[0]):
        waiting.popleft()
    if waiting:
        connection.add_writable_callback(lambda: catch_up(connection))
    else:
        del behind[connection]
        ready.add(connection)


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    connection = scope["extensions"]["falconws.connection"]
    await receive()
    await send({"type": "websocket.accept"})
    ready.add(connection)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            broadcast(connection, event.get("text") or event["bytes"])
    finally:
        ready.discard(connection)
        behind.pop(connection, None)
