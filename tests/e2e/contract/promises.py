"""The promises of falconws over a socket, and the servers that cannot keep them.

Two tables. Every test of the suite checks one promise, on every server. ``python -m tests.e2e.contract.table``
generates ``docs/reference/servers.md`` from them. The test of a listed exception must fail as listed.
"""

from __future__ import annotations

from dataclasses import dataclass

SECTIONS: dict[str, dict[str, str]] = {
    "Handshake": {
        "handshake-request": "Headers, cookies, query and template parameters of the handshake are on `req`",
        "http-beside-websocket": "`on_get` and `on_websocket` side by side on one resource",
        "routing": "Suffixes, sinks and hooks work for WebSockets",
        "subprotocol": "`ws.subprotocols`, `accept(subprotocol=)` and `ws.subprotocol`",
        "accept-headers": "`accept(headers=)` reaches the client, repeated names included",
        "unoffered-subprotocol": "`accept(subprotocol=)` with one that the client does not offer is a `ValueError`",
        "no-line-break-in-headers": "A control character in a header of `accept()` or `deny()` is a `ValueError`",
        "no-line-break-in-response-headers": "A control character in a header of an HTTP response is a 500",
        "close-before-accept": "`ws.close()` before accept is a 403 without upgrade, whatever the code",
        "return-without-accept": "A responder that returns without accept refuses with a 403",
        "states": "`unaccepted`, `ready` and `closed` report the state, and invalid calls in a state are refused",
        "left-before-accept": "`accept()` raises an error if the client has disconnected during the handshake",
        "wait-before-accept": "`wait_disconnected()` returns when the client disconnects during the handshake",
        "lifespan-state": "`req.state` contains the lifespan state of `process_startup`",
    },
    "Refusal as an HTTP response": {
        "http-error-before-accept": "An `HTTPError` before accept is the response: status, headers, body",
        "http-error-in-middleware": "An `HTTPError` in middleware or in a hook is the response",
        "http-status-before-accept": "An `HTTPStatus` before accept is the response",
        "error-handler-before-accept": "The response of an error handler is sent",
        "fault-before-accept": "An application error before accept is a 500 without details",
        "unknown-route": "An unknown route is a 404, a resource without `on_websocket` a 405",
        "deny": "`ws.deny()` with status, headers, and text, data or media",
        "bare-deny": "`ws.deny()` alone is a 403",
        "denial-or-403": "If the server cannot send the response, the client gets a 403, and the log says why",
    },
    "Middleware and origins": {
        "middleware": "`process_request_ws` and `process_resource_ws` with the proposal's signatures and Falcon's",
        "asgi-middleware": "ASGI middleware around the app sees, and may change, every event in both directions",
        "middleware-refuses": "Middleware can close the connection before the responder runs",
        "origins": "`allowed_origins`: same origin, exact origins, subdomains, all origins; similar names are refused",
        "origins-unset": "Without `allowed_origins`, all origins are accepted, with one warning in the log",
        "allowed-hosts": "`app.allowed_hosts` refuses other Host headers, of WebSockets and of HTTP requests",
        "origin-refusal": "A refused origin runs no application code and logs one line",
    },
    "Messages": {
        "text-and-data": "Text and data arrive unchanged, with fragments joined",
        "empty-messages": "Empty messages arrive",
        "large-messages": "Messages of up to 1 MiB arrive intact, both ways",
        "send-data-types": "`send_data()` takes bytes, bytearray and memoryview, and refuses `str`",
        "media": "Media: JSON in TEXT and MessagePack in BINARY messages, both ways",
        "media-handlers": "Custom media handlers may return bytes, bytearray and memoryview",
        "payload-type-error": "The wrong payload type is a `TypeError`, and the connection stays usable",
        "undecodable-media": "An undecodable payload is a `ValueError`, and the connection stays usable",
        "ping": "Pings are answered while the responder waits",
        "early-messages": "Messages that a client sends before the accept arrive at once",
    },
    "Receiving and sending": {
        "iteration": "`async for`, `iter_text()` and `iter_data()` end when the client disconnects",
        "unread-messages": "Messages that were sent before the close are received, in order",
        "receive-timeout": "`receive_*(timeout=)` loses no message",
        "receive-cancelled": "A cancelled receive loses no message",
        "rate-limit": "`RateLimit.disconnect()` closes with 1008 and one log line",
        "rate-limit-slows-down": "`RateLimit.slow_down()` loses no message",
        "one-receiver": "A second concurrent receiver gets `OperationNotAllowed`",
        "wait-while-receiving": "`wait_disconnected()` takes no message from a concurrent receiver",
        "parallel-loops": "A receiving and a sending loop run concurrently",
        "task-scope": "`task_scope()` cancels all tasks when one ends or fails, or the client disconnects",
        "send-cancelled": "A cancelled send leaves no partial message",
        "concurrent-sends": "1,000 concurrent sends arrive completely and in order",
    },
    "Typed conversations": {
        "typed-calls": "Messages are decoded, and calls are answered under their `id`",
        "typed-errors": "An invalid message is answered with an error, and the next message is received",
        "typed-too-many-errors": "A client that sends only invalid messages is closed with 1007",
        "typed-refusal": "A query or a subprotocol that does not fit is a 400 that says why",
        "typed-rooms": "A client of a room resumes at its position",
    },
    "The end of a connection": {
        "close-code-to-client": "The client sees the app's close code (1000, 3000 to 4999)",
        "protocol-code-to-client": "The client sees the app's close code of the protocol (1001 to 1014)",
        "close-reason-to-client": "The client sees the app's close reason, or the default one",
        "close-default": "`ws.close()`, and a responder that returns, close with 1000",
        "invalid-close": "Invalid codes and reasons raise `ValueError`, and the connection stays open",
        "close-while-receiving": "A receiver notices at once that another task has closed the connection",
        "client-close-code": "The app sees the client's close code",
        "client-close-reason": "The app sees the client's close reason",
        "no-status": "A close without a code is 1005",
        "lost": "A lost connection is 1006",
        "close-is-answered": "The closing handshake is completed while the responder does something else",
        "disconnect-grace": "A responder is cancelled `ws_options.disconnect_grace_s` seconds after a disconnect",
        "learns-of-disconnect": "A responder that receives, sends, waits or polls notices a disconnect",
        "learns-behind-unread": "A responder with 2,000 unread small messages notices a disconnect",
    },
    "Errors": {
        "application-fault": "An application error is 1011 and one traceback",
        "base-exception": "`sys.exit()` or another BaseException is 1011 too; the other connections go on",
        "base-exception-before-accept": "A BaseException before accept is a 500",
        "base-exception-in-a-task": "A BaseException in a task of `create_task()` is one line in the log",
        "base-exception-http": "A BaseException in an HTTP responder is a 500",
        "disconnect-in-a-group": "A disconnect in an `asyncio.TaskGroup` is a disconnect, not an error",
        "error-close-code": "`error_close_code` replaces 1011, and 3011 replaces a code that cannot be sent",
        "http-error-after-accept": "An `HTTPError` or `HTTPStatus` after accept is 3000 + status",
        "error-handlers": "Error handlers work with and without the `ws` argument",
        "undecodable-unhandled": "An unhandled undecodable payload is 1007 and one log line",
        "inexpressible-media": "Client data that the other media handler cannot express is 1007 and one log line",
        "payload-type-unhandled": "An unhandled wrong payload type is 1003 and one log line",
        "disconnect-unhandled": "An unhandled disconnect is one warning in the log",
        "quiet-refusal": "A refusal with an HTTP response writes no error to the server's log",
        "quiet-disconnect": "A disconnected client writes no error, whatever the responder does",
        "quiet-client-fault": "A client that sends invalid UTF-8 writes no error",
        "invalid-utf8": "A client that sends invalid UTF-8 is closed with 1007",
        "invalid-utf8-to-app": "The app sees that 1007",
    },
}

PROMISES: dict[str, str] = {key: text for section in SECTIONS.values() for key, text in section.items()}


@dataclass(frozen=True)
class Limit:
    """Why a server cannot keep a promise.

    Attributes:
        reason: What the server does instead, for the documentation.
        shows: A regular expression that the failure of the test must match.
        never_comes: Whether the test has to wait for something that does not happen.
    """

    reason: str
    shows: str
    never_comes: bool = False


_NO_DENIAL = Limit(
    "daphne does not offer the ASGI extension `websocket.http.response`: the client gets a 403 without headers and "
    "body, and the log says why.",
    shows=r"403 == \d{3}|\(403, |KeyError: '(location|retry-after|www-authenticate|x-kettle|vary|content-type)'",
)
_DAPHNE_CODES = Limit(
    "daphne only sends the close codes 1000 and 3000 to 4999: falconws adds 2000, and the client sees 3011 for 1011.",
    # On a bare application the exception that daphne raises becomes daphne's own 1011.
    shows=r"3\d{3} == 1\d{3}|1011 == 1008",
)
_GONE = "hypercorn reports every end to the app as 1006, without a reason."

EXCEPTIONS: dict[tuple[str, str], Limit] = {
    ("uvicorn-sansio", "quiet-refusal"): Limit(
        "uvicorn logs `ASGI callable returned without completing handshake.` for every such response.",
        shows="'ERROR'",
    ),
    ("uvicorn-sansio", "quiet-client-fault"): Limit(
        "uvicorn logs a traceback.",
        shows="'Traceback'",
    ),
    ("uvicorn-wsproto", "early-messages"): Limit(
        "wsproto forgets them. `falconws serve --engine wsproto` keeps them for it.",
        shows="the first message got no answer",
        never_comes=True,
    ),
    ("hypercorn", "early-messages"): Limit(
        "hypercorn refuses the handshake if a message comes before it is answered.",
        shows="the handshake was answered with",
    ),
    ("uvicorn-wsproto", "invalid-utf8"): Limit(
        "uvicorn drops the connection without a close frame: the client sees 1006.",
        shows="1006.* == 1007",
    ),
    ("uvicorn-websockets", "invalid-utf8-to-app"): Limit(
        "uvicorn reports 1006 to the app if the server itself closes the connection.",
        shows="1006.* == 1007",
    ),
    ("hypercorn", "client-close-code"): Limit(_GONE, shows=r"1006.* == \d{4}"),
    ("hypercorn", "client-close-reason"): Limit(_GONE, shows="'' == 'tsch"),
    ("hypercorn", "no-status"): Limit(_GONE, shows=r"\(1006, ''\) == \(1005, ''\)"),
    ("hypercorn", "invalid-utf8"): Limit(
        "hypercorn drops the connection without a close frame: the client sees 1006.",
        shows="1006.* == 1007",
    ),
    ("hypercorn", "invalid-utf8-to-app"): Limit(_GONE, shows="1006.* == 1007"),
    ("granian", "accept-headers"): Limit("granian drops the headers without an error.", shows="None == 'kept'"),
    ("granian", "left-before-accept"): Limit(
        "granian does not notice; the first receive or send reports the disconnect, with 1005.",
        shows="1005.* == 1006",
    ),
    ("granian", "wait-before-accept"): Limit(
        "granian does not notice; `wait_disconnected()` continues to wait.",
        shows="did not note 'state'",
        never_comes=True,
    ),
    ("granian", "client-close-reason"): Limit("granian does not report the reason.", shows="'' == 'tsch"),
    ("granian", "lost"): Limit(
        "granian reports 1005 to the app, as for a close without a code.",
        shows=r"\(1005, ''\) == \(1006, ''\)",
    ),
    ("granian", "close-is-answered"): Limit(
        "granian completes the closing handshake only when the responder has ended.",
        shows="the server did not close",
        never_comes=True,
    ),
    ("granian", "invalid-utf8"): Limit("granian closes with 1000 or without a code.", shows="100[05].* == 1007"),
    ("granian", "invalid-utf8-to-app"): Limit("granian reports 1005 to the app.", shows="1005.* == 1007"),
    ("daphne", "accept-headers"): Limit(
        "daphne cannot send headers, so `accept()` raises `OperationNotAllowed` (see `ws.supports_accept_headers`).",
        shows="HTTP 403|None == 'kept'",
    ),
    ("daphne", "lifespan-state"): Limit(
        "daphne does not support the lifespan: start-up code does not run, and `req.state` is empty.",
        shows="'{}' == ",
    ),
    **{
        ("daphne", promise): _NO_DENIAL
        for promise in (
            "http-error-before-accept",
            "http-error-in-middleware",
            "http-status-before-accept",
            "error-handler-before-accept",
            "fault-before-accept",
            "unknown-route",
            "base-exception-before-accept",
            "deny",
            "typed-refusal",
        )
    },
    ("daphne", "empty-messages"): Limit(
        "daphne does not send empty messages.",
        shows="no message came",
        never_comes=True,
    ),
    ("daphne", "close-reason-to-client"): Limit(
        "daphne does not send the reason.", shows="''.* == .*'(tsch|Not F|bare)"
    ),
    ("daphne", "protocol-code-to-client"): _DAPHNE_CODES,
    ("daphne", "client-close-reason"): Limit("daphne does not report the reason.", shows="'' == 'tsch"),
    ("daphne", "application-fault"): _DAPHNE_CODES,
    ("daphne", "base-exception"): _DAPHNE_CODES,
    ("daphne", "undecodable-unhandled"): _DAPHNE_CODES,
    ("daphne", "typed-too-many-errors"): _DAPHNE_CODES,
    ("daphne", "inexpressible-media"): _DAPHNE_CODES,
    ("daphne", "rate-limit"): _DAPHNE_CODES,
    ("daphne", "payload-type-unhandled"): _DAPHNE_CODES,
    ("daphne", "invalid-utf8"): Limit(
        "daphne drops the connection without a close frame: the client sees 1006.",
        shows="1006.* == 1007",
    ),
    ("daphne", "invalid-utf8-to-app"): Limit("daphne reports 1006 to the app.", shows="1006.* == 1007"),
}
