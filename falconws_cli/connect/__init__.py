"""`falconws connect`: a conversation with a WebSocket server, interactive or scripted.

Lives on the client's side only: it must not know how projects are made or changed, nor the server's internals.
"""
