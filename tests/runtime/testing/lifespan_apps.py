"""ASGI applications whose start and end do what a test wants."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

Work = Callable[[], Awaitable[None]]


def lifespan_app(
    startup: Work | None = None, shutdown: Work | None = None, state: dict[str, Any] | None = None
) -> Callable[..., Awaitable[None]]:
    """Return an application that awaits what it is given when it starts and stops, and puts *state* into its scope.

    It sends the names in the state to each WebSocket, and adds one to that connection's own copy.
    """

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "lifespan":
            await receive()
            await send({"type": "websocket.accept"})
            await send({"type": "websocket.send", "text": str(sorted(scope["state"]))})
            scope["state"]["own"] = 1
            return
        for phase, work in (("startup", startup), ("shutdown", shutdown)):
            assert await receive() == {"type": f"lifespan.{phase}"}
            scope["state"].update(state or {})
            if work is not None:
                await work()
            await send({"type": f"lifespan.{phase}.complete"})

    return app


async def fail() -> None:
    raise ZeroDivisionError("on purpose")


async def wait() -> None:
    await asyncio.Event().wait()
