from collections import deque

up_to_date = set()
behind = {}


def tell_everybody(connection, payload):
    prepared = connection.prepare(payload)
    for waiting in behind.values():
        waiting.append(prepared)
    for slow in connection.broadcast(up_to_date, prepared):
        up_to_date.discard(slow)
        behind[slow] = deque([prepared], maxlen=100)
        slow.add_writable_callback(lambda slow=slow: catch_up(slow))


def catch_up(connection):
    if connection.closed or connection not in behind:
        return
    waiting = behind[connection]
    # A message that is refused now, and not for those before it, is too large.
    connection.try_send_prepared(waiting.popleft())
    while waiting and connection.try_send_prepared(waiting[0]):
        waiting.popleft()
    if waiting:
        connection.add_writable_callback(lambda: catch_up(connection))
    else:
        del behind[connection]
        up_to_date.add(connection)


async def app(scope, receive, send):
    if scope["type"] != "websocket":
        return
    connection = scope["extensions"]["falconws.connection"]
    await receive()
    await send({"type": "websocket.accept"})
    up_to_date.add(connection)
    try:
        while (event := await receive())["type"] == "websocket.receive":
            tell_everybody(connection, event.get("text") or event["bytes"])
    finally:
        up_to_date.discard(connection)
        behind.pop(connection, None)
