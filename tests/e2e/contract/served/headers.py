"""Header names and values that would end a line, and subprotocols that nobody offered."""

from __future__ import annotations

import falcon.asgi

from falconws import Request, WebSocket

from .apps import main, websocket
from .journal import RUNS, Run, describe

ATTEMPTS = {
    "name": ("X-A\r\nX-Injected", "yes"),
    "name-lf": ("X-A\nX-Injected", "yes"),
    "name-nul": ("X-A\0", "yes"),
    "value": ("X-A", "a\r\nX-Injected: yes"),
    "value-lf": ("X-A", "a\nX-Injected: yes"),
    "value-cr": ("X-A", "a\rX-Injected: yes"),
    "value-nul": ("X-A", "a\0"),
    # Servers would send these, answer with 400 or 500, or close without a response.
    "value-vt": ("X-A", "a\vb"),
    "value-esc": ("X-A", "\x1b[31m"),
    "value-del": ("X-A", "a\x7f"),
}


@websocket("bad-header")
async def bad_header(req: Request, ws: WebSocket, run: Run) -> None:
    headers = [ATTEMPTS[req.params["what"]]]
    try:
        if req.params["where"] == "deny":
            await ws.deny(400, headers=headers)
        else:
            await ws.accept(headers=headers)
    except Exception as error:
        run.note("refused", **describe(error))
    await ws.accept()
    await ws.close(4000)


class BadHeaderResource:
    async def on_get(self, req: Request, resp: falcon.asgi.Response, run: str) -> None:
        RUNS[run].note("asked")
        resp.text = "hello"
        resp.set_header(*ATTEMPTS[req.params["what"]])


main.add_route("/bad-response-header/{run}", BadHeaderResource())


@websocket("unoffered-subprotocol")
async def unoffered_subprotocol(req: Request, ws: WebSocket, run: Run) -> None:
    try:
        await ws.accept(subprotocol="wamp")
    except Exception as error:
        run.note("refused", **describe(error))
    await ws.accept()
    await ws.close(4000)
