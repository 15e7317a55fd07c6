"""The WebSocket API that Falcon's author proposed by example, as a drop-in for Falcon 4's own."""
