"""Responders up to the open connection: routing, accept, refusal."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, cast

import falcon
import falcon.asgi

import falconws
from falconws import Request, WebSocket, WebSocketDisconnected

from .apps import KettleError, main, websocket, with_hosts
from .journal import RUNS, Run, describe


class BothResource:
    """HTTP and WebSocket side by side, with a parameter in the template."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, account_id: str, run: str) -> None:
        resp.media = {"account": account_id}

    async def on_websocket(self, req: Request, ws: WebSocket, account_id: str, run: str) -> None:
        await ws.accept()
        await ws.send_media(
            {
                "account": account_id,
                "header": req.get_header("Some-Header"),
                "missing": req.get_header("Missing"),
                "query": req.params,
                "cookie": req.cookies.get("session"),
                "host": req.host,
                "port": req.port,
                "path": req.path,
            }
        )

    async def on_websocket_other(self, req: Request, ws: WebSocket, account_id: str, run: str) -> None:
        await ws.accept()
        await ws.send_text(f"other responder for {account_id}")


main.add_route("/{account_id}/messages/{run}", BothResource())
main.add_route("/{account_id}/other/{run}", BothResource(), suffix="other")


class HTTPOnlyResource:
    async def on_get(self, req: Request, resp: falcon.asgi.Response, run: str) -> None:
        resp.text = "only HTTP here"


main.add_route("/http-only/{run}", HTTPOnlyResource())


async def hook(req: Request, ws: WebSocket, resource: object, params: dict[str, Any]) -> None:
    if req.get_param("hook") == "deny":
        raise falcon.HTTPLocked(title="Hook says no")
    params["hooked"] = "by the hook"


class HookedResource:
    @falcon.before(cast(Any, hook))
    async def on_websocket(self, req: Request, ws: WebSocket, run: str, hooked: str) -> None:
        await ws.accept()
        await ws.send_text(hooked)


main.add_route("/hooked/{run}", HookedResource())


async def sink(req: Request, resp: object, ws: WebSocket | None = None, **params: Any) -> None:
    if ws is not None:
        await ws.accept()
        await ws.send_text(f"sink for {params['what']}")


main.add_sink(sink, r"/sink/(?P<what>[a-z]+)/")


@websocket("close-before-accept")
async def close_before_accept(req: Request, ws: WebSocket, run: Run) -> None:
    code = req.get_param_as_int("code")
    await (ws.close() if code is None else ws.close(code=code))
    run.note("closed", closed=ws.closed, unaccepted=ws.unaccepted, ready=ws.ready)


@websocket("return-without-accept")
async def return_without_accept(req: Request, ws: WebSocket, run: Run) -> None:
    run.note("returned")


@websocket("subprotocol")
async def subprotocol(req: Request, ws: WebSocket, run: Run) -> None:
    run.note("offered", subprotocols=list(ws.subprotocols), before=ws.subprotocol)
    if "wamp" not in ws.subprotocols:
        return
    await ws.accept(subprotocol="wamp")
    run.note("accepted", subprotocol=ws.subprotocol)
    await ws.send_text("hello")


@websocket("accept-headers")
async def accept_headers(req: Request, ws: WebSocket, run: Run) -> None:
    pairs = [("X-Contract", "kept"), ("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
    await ws.accept(headers=dict(pairs[:2]) if req.get_param_as_bool("mapping") else pairs)
    await ws.receive_text()


@websocket("states")
async def states(req: Request, ws: WebSocket, run: Run) -> None:
    def note(when: str) -> None:
        run.note(when, unaccepted=ws.unaccepted, ready=ws.ready, closed=ws.closed, code=ws.close_code)

    async def refused(when: str, call: Callable[[], Awaitable[Any]]) -> None:
        try:
            await call()
        except (falconws.OperationNotAllowed, WebSocketDisconnected) as error:
            run.note(when, **describe(error))
        else:
            run.note(when, kinds=[])

    note("before accept")
    await refused("send before accept", lambda: ws.send_text("too early"))
    await refused("receive before accept", ws.receive_text)
    await ws.accept()
    note("after accept")
    await refused("second accept", ws.accept)
    await refused("deny after accept", ws.deny)
    await ws.close(4000)
    note("after close")
    await refused("send after close", lambda: ws.send_text("too late"))
    await refused("receive after close", ws.receive_text)
    await ws.close()
    await ws.close(4001)
    note("after three closes")


@websocket("state")
async def state(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    await ws.send_media(req.state)


# Refusing with an HTTP response


@websocket("http-error")
async def http_error(req: Request, ws: WebSocket, run: Run) -> None:
    if req.get_param("kind") == "429":
        raise falcon.HTTPTooManyRequests(title="Slow down", description="Too many.", retry_after=7)
    if req.get_param("kind") == "401":
        raise falcon.HTTPUnauthorized(title="Token missing", challenges=["Bearer", 'Basic realm="x"'])
    if req.get_param("kind") == "kettle":
        raise KettleError
    raise falcon.HTTPStatus(falcon.HTTP_307, headers={"Location": "/elsewhere"}, text="over there")


@websocket("fault-before-accept")
async def fault_before_accept(req: Request, ws: WebSocket, run: Run) -> None:
    raise RuntimeError("a fault of the application")


@websocket("deny")
async def deny(req: Request, ws: WebSocket, run: Run) -> None:
    match req.get_param("body"):
        case "text":
            await ws.deny(429, headers={"Retry-After": "7"}, text="später")
        case "data":
            await ws.deny(418, headers=[("Content-Type", "image/x-pot")], data=b"\x00\xff")
        case "media":
            await ws.deny(falcon.HTTP_422, media={"field": "name"})
        case _:
            await ws.deny()
    run.note("denied", closed=ws.closed, supported=ws.supports_denial)


@websocket("before-accept")
async def before_accept(req: Request, ws: WebSocket, run: Run) -> None:
    """The client may leave before the handshake is over."""
    run.note("waiting")
    if req.get_param("how") == "wait":
        await ws.wait_disconnected()
        run.note("state", code=ws.close_code, closed=ws.closed)
        return
    await run.gate("accept")
    try:
        await ws.accept()
        run.note("accepted")
        await ws.receive_text()
    except WebSocketDisconnected as error:
        run.note("disconnected", **describe(error))


class HostsResource:
    """Behind `app.allowed_hosts`, for WebSockets and for HTTP."""

    async def on_get(self, req: Request, resp: falcon.asgi.Response, run: str) -> None:
        resp.text = "hello"

    async def on_websocket(self, req: Request, ws: WebSocket, run: str) -> None:
        RUNS[run].note("application code ran")
        await ws.accept()


with_hosts.add_route("/hosts/{run}", HostsResource())
