"""What falconws promises over a socket, and which server cannot keep which promise, and why.

Two literal tables. Every test of the suite proves one promise, on every server; ``docs/reference/servers.md`` is made
of these tables (``python -m tests.e2e.contract.table``), and a listed exception has to fail as listed.
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
        "close-before-accept": "`ws.close()` before accept is a 403 without upgrade, whatever the code",
        "return-without-accept": "A responder that returns without accept refuses with a 403",
        "states": "`unaccepted`, `ready` and `closed` tell the state, and what does not fit it is refused",
        "left-before-accept": "`accept()` raises when the client left during the handshake",
        "wait-before-accept": "`wait_disconnected()` returns when the client leaves during the handshake",
        "lifespan-state": "What `process_startup` put into the lifespan state is in `req.state`",
    },
    "Refusal as an HTTP response": {
        "http-error-before-accept": "An `HTTPError` before accept is the response: status, headers, body",
        "http-error-in-middleware": "So is one raised in middleware or in a hook",
        "http-status-before-accept": "So is an `HTTPStatus`",
        "error-handler-before-accept": "So is what an error handler makes of an error",
        "fault-before-accept": "A fault of the application before accept is a 500 that tells nothing",
        "unknown-route": "An unknown route is a 404, a resource without `on_websocket` a 405",
        "deny": "`ws.deny()` with status, headers, and text, data or media",
        "bare-deny": "`ws.deny()` alone is a 403",
        "denial-or-403": "Where the server cannot send the response, the client gets a 403, and the log says why",
    },
    "Middleware and origins": {
        "middleware": "`process_request_ws` and `process_resource_ws` with the proposal's signatures and Falcon's",
        "asgi-middleware": "ASGI middleware around the app sees, and may change, every event in both directions",
        "middleware-refuses": "Middleware may close before the responder runs",
        "origins": "`allowed_origins`: same origin, exact origins, subdomains, everybody; look-alikes are refused",
        "origins-unset": "Without `allowed_origins` everybody is let in, and one warning in the log says so",
        "origin-refusal": "A refused origin runs no application code and logs one line",
    },
    "Messages": {
        "text-and-data": "Text and data arrive as they were sent, fragments joined",
        "empty-messages": "Empty messages arrive",
        "large-messages": "Messages of up to 1 MiB arrive intact, both ways",
        "send-data-types": "`send_data()` takes bytes, bytearray and memoryview, and refuses `str`",
        "media": "Media: JSON in TEXT and MessagePack in BINARY messages, both ways",
        "media-handlers": "Custom media handlers may return bytes, bytearray and memoryview",
        "payload-type-error": "The wrong payload type is a `TypeError`, and the conversation can go on",
        "undecodable-media": "An undecodable payload is a `ValueError`, and the conversation can go on",
        "ping": "Pings are answered while the responder waits",
    },
    "Receiving and sending": {
        "iteration": "`async for`, `iter_text()` and `iter_data()` end when the client leaves",
        "unread-messages": "What was sent before the close is still received, in order",
        "receive-timeout": "`receive_*(timeout=)` loses no message",
        "receive-cancelled": "A cancelled receive loses no message",
        "one-receiver": "A second concurrent receiver gets `OperationNotAllowed`",
        "wait-while-receiving": "`wait_disconnected()` beside a receiver takes no message from it",
        "parallel-loops": "A receiving and a sending loop side by side",
        "task-scope": "`task_scope()` ends all when one ends, fails, or the client leaves",
        "send-cancelled": "A cancelled send leaves no half message behind",
        "concurrent-sends": "1,000 concurrent sends arrive whole and in order",
    },
    "The end of a connection": {
        "close-code-to-client": "The client sees the app's close code (1000, 3000 to 4999)",
        "protocol-code-to-client": "The client sees the codes of the protocol (1001 to 1014) that the app closes with",
        "close-reason-to-client": "The client sees the app's close reason, or the default one",
        "close-default": "`ws.close()` and returning close with 1000",
        "invalid-close": "Invalid codes and reasons raise `ValueError`, and the connection stays open",
        "close-while-receiving": "A receiver learns at once that another task closed",
        "client-close-code": "The app sees the client's close code",
        "client-close-reason": "The app sees the client's close reason",
        "no-status": "A close without a code is 1005",
        "lost": "A lost connection is 1006",
        "close-is-answered": "The closing handshake is completed even while the responder does something else",
        "disconnect-grace": "`ws_options.disconnect_grace_s` after its client has left, a responder is cancelled",
        "learns-of-disconnect": "A responder that receives, sends, waits or polls learns of a disconnect",
        "learns-behind-unread": "So does one that leaves 2,000 small messages unread",
    },
    "Faults": {
        "application-fault": "A fault of the application is 1011 and one traceback",
        "error-close-code": "`error_close_code` takes the place of 1011, and 3011 that of a code that cannot be sent",
        "http-error-after-accept": "An `HTTPError` or `HTTPStatus` after accept is 3000 + status",
        "error-handlers": "Error handlers work with and without the `ws` argument",
        "undecodable-unhandled": "An undecodable payload left unhandled is 1007 and one log line",
        "payload-type-unhandled": "A wrong payload type left unhandled is 1003 and one log line",
        "disconnect-unhandled": "A disconnect left unhandled is one warning in the log",
        "quiet-refusal": "A refusal with an HTTP response leaves no error in the server's log",
        "quiet-disconnect": "Nor does a client that is gone, whatever the responder does",
        "quiet-client-fault": "Nor does a client that sends invalid UTF-8",
        "invalid-utf8": "The client that sends invalid UTF-8 is closed with 1007",
        "invalid-utf8-to-app": "The app sees that 1007",
    },
}

PROMISES: dict[str, str] = {key: text for section in SECTIONS.values() for key, text in section.items()}


@dataclass(frozen=True)
class Limit:
    """Why a server cannot keep a promise.

    Attributes:
        reason: For the reader of the docs: what the server does instead.
        shows: A regular expression that the failure of the test must match.
        never_comes: Whether the failure is that something does not come, for which the test has to wait.
    """

    reason: str
    shows: str
    never_comes: bool = False


_NO_DENIAL = Limit(
    "daphne does not offer the ASGI extension `websocket.http.response`: the client gets a 403 without headers and "
    "body, and the log says so.",
    shows=r"403 == \d{3}|\(403, |KeyError: '(location|retry-after|www-authenticate|x-kettle|vary|content-type)'",
)
_DAPHNE_CODES = Limit(
    "daphne sends no close codes but 1000 and 3000 to 4999: falconws adds 2000, and the client sees 3011 for 1011.",
    # On a bare application the exception that daphne raises becomes daphne's own 1011.
    shows=r"3\d{3} == 1\d{3}|1011 == 1008",
)
_GONE = "hypercorn tells the app of every end as 1006, without a reason."

EXCEPTIONS: dict[tuple[str, str], Limit] = {
    ("uvicorn-sansio", "quiet-refusal"): Limit(
        "uvicorn logs `ASGI callable returned without completing handshake.` for every such response.",
        shows="'ERROR'",
    ),
    ("uvicorn-sansio", "quiet-client-fault"): Limit(
        "uvicorn logs a traceback for it.",
        shows="'Traceback'",
    ),
    ("uvicorn-wsproto", "invalid-utf8"): Limit(
        "uvicorn drops the connection without a close frame: the client sees 1006.",
        shows="1006.* == 1007",
    ),
    ("uvicorn-websockets", "invalid-utf8-to-app"): Limit(
        "uvicorn tells the app 1006 whenever it closes by itself.",
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
    ("granian", "accept-headers"): Limit("granian drops them without a word.", shows="None == 'kept'"),
    ("granian", "left-before-accept"): Limit(
        "granian does not notice; the first receive or send tells of it, with 1005.",
        shows="1005.* == 1006",
    ),
    ("granian", "wait-before-accept"): Limit(
        "granian does not notice; `wait_disconnected()` goes on waiting.",
        shows="did not note 'state'",
        never_comes=True,
    ),
    ("granian", "client-close-reason"): Limit("granian does not pass the reason on.", shows="'' == 'tsch"),
    ("granian", "lost"): Limit(
        "granian tells the app 1005, as for a close without a code.",
        shows=r"\(1005, ''\) == \(1006, ''\)",
    ),
    ("granian", "close-is-answered"): Limit(
        "granian completes the closing handshake when the responder has ended.",
        shows="the server did not close",
        never_comes=True,
    ),
    ("granian", "invalid-utf8"): Limit("granian closes with 1000 or without a code.", shows="100[05].* == 1007"),
    ("granian", "invalid-utf8-to-app"): Limit("granian tells the app 1005.", shows="1005.* == 1007"),
    ("daphne", "accept-headers"): Limit(
        "daphne cannot send them, so `accept()` raises `OperationNotAllowed` (`ws.supports_accept_headers` tells).",
        shows="HTTP 403|None == 'kept'",
    ),
    ("daphne", "lifespan-state"): Limit(
        "daphne has no lifespan: start-up code does not run, and `req.state` is empty.",
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
            "deny",
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
    ("daphne", "client-close-reason"): Limit("daphne does not pass the reason on.", shows="'' == 'tsch"),
    ("daphne", "application-fault"): _DAPHNE_CODES,
    ("daphne", "undecodable-unhandled"): _DAPHNE_CODES,
    ("daphne", "payload-type-unhandled"): _DAPHNE_CODES,
    ("daphne", "invalid-utf8"): Limit(
        "daphne drops the connection without a close frame: the client sees 1006.",
        shows="1006.* == 1007",
    ),
    ("daphne", "invalid-utf8-to-app"): Limit("daphne tells the app 1006.", shows="1006.* == 1007"),
}
