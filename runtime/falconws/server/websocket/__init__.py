"""The WebSocket engine: picows' frames on one side, ASGI events on the other, for one connection at a time.

It must not know how connections are accepted, counted or drained, nor anything of the server's HTTP side.
"""
