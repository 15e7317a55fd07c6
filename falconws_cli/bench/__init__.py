"""`falconws bench`: a load test of a WebSocket route, with the load generator in a process of its own.

Must not know how projects are made or changed, nor the server's internals: it sees a URL and the server's processes.
"""
