"""HTTP beside WebSockets: the limits, the deadlines and the graceful shutdown of HTTP connections.

It extends uvicorn's HTTP protocol classes, and must not know `falconws.server.websocket`.
"""
