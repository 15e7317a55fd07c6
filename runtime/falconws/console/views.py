"""What the page shows of an application: its start, a view for each WebSocket, and rooms. Pure.

A view of a WebSocket has two connections; the second one is hidden at first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from .forms import field, fields_of
from .routes import Route
from .tree import Tree, el

__all__ = ("conversations_at", "free_view", "room_view", "rooms_view", "route_view", "start_view")

_FIELD = re.compile(r"\{(\w+)(:[^}]*)?\}")
_REST = ":path"
_DEMO_NAMES = ("ada", "ben")
_RESOURCES = (
    ("chat", "room", "adds a chat room with a page of its own"),
    ("ticker", "feed", "adds a WebSocket that sends events as they happen"),
    ("words", "request-response", "adds a WebSocket that answers requests"),
)
"""What the page suggests to add: the first one that the application does not have."""
_COPIES = (("command", "command"), ("typescript", "TypeScript"), ("python", "test"))
_TEXT_HINT = "Enter sends, Shift+Enter starts a new line"
_HEX_HINT = "hexadecimal, such as 48 65 6c 6c 6f"

_Document = Mapping[str, Any]


def start_view(title: str, routes: Sequence[Route], demo: str | None, problem: str, base: str) -> Tree:
    """Return what the page shows at first.

    Args:
        title: The name of the application.
        routes: All of its routes.
        demo: The path of the console's own room, if it has one.
        problem: Why typed conversations cannot be shown; "" if they can.
        base: What `falconws connect` needs in front of a path; "" on the port that it uses by default.
    """
    echo = next(
        (route.path for route in routes if route.is_websocket and re.fullmatch(r"[^{}]*/echo", route.path)), None
    )
    return el(
        "article",
        el("h2", f"{title} works", tabindex="-1"),
        el(
            "p",
            "Talk to each WebSocket of your application here. This page comes with ",
            el("code", "falconws serve --reload"),
            "; in production there is none.",
            class_="lead",
        ),
        el("p", problem, class_="error") if problem else None,
        el(
            "div",
            _echo_card(echo),
            _room_card(demo),
            _commands_card(routes, base),
            _routes_card(routes),
            class_="cards",
        ),
    )


def _echo_card(path: str | None) -> Tree | None:
    if path is None:
        return None
    return el(
        "section",
        el("h3", "Say hello"),
        el(
            "form",
            el("label", "A message to ", el("code", path), for_="hello"),
            el("input", id="hello", value="hello", autocomplete="off"),
            el("button", "Send", class_="main"),
            id="echo",
            class_="row",
            data_path=path,
        ),
        el("p", "The answer appears here.", role="status"),
    )


def _room_card(demo: str | None) -> Tree:
    text: list[Tree | str] = (
        [el("a", "Open the console's own room", href=f"#{demo}"), " and connect twice: what one says, both hear."]
        if demo
        else [el("a", "Look into your rooms", href="#rooms"), ": who is present, and the last messages."]
    )
    return el("section", el("h3", "A room"), el("p", *text))


def _commands_card(routes: Sequence[Route], base: str) -> Tree:
    taken = {segment for route in routes for segment in route.path.split("/")}
    commands = [
        (f"falconws add-resource {name} --pattern {pattern}", what)
        for name, pattern, what in _RESOURCES
        if name not in taken
    ][:1]
    commands.append(("falconws test", "runs the tests of the project"))
    sockets = [route.path for route in routes if route.is_websocket and "{" not in route.path]
    if sockets:
        commands.append((f"falconws connect {base}{sockets[0]}", "talks to a WebSocket from the terminal"))
    items = [el("li", el("code", command), el("br"), el("small", what)) for command, what in commands]
    return el("section", el("h3", "Go on"), el("ol", *items))


def _routes_card(routes: Sequence[Route]) -> Tree:
    items = []
    for route in routes:
        if route.is_websocket:
            items.append(el("li", el("a", route.path, href=f"#{route.path}"), " ", el("small", "WebSocket")))
        if route.methods:
            is_link = "GET" in route.methods and "{" not in route.path
            # Below the page's own address, whatever is in front of it.
            path = el("a", route.path, href=f"..{route.path}", target="_blank") if is_link else el("code", route.path)
            items.append(el("li", path, " ", el("small", ", ".join(route.methods))))
    return el("section", el("h3", "Routes"), el("ul", *items))


def conversations_at(document: _Document | None, path: str) -> list[str]:
    """Return the names of the channels of an AsyncAPI *document* that a route at *path* has; none if it is untyped."""
    address = _FIELD.sub(r"{\1}", path)
    channels = document["channels"] if document else {}
    return [name for name, channel in channels.items() if channel["address"] == address]


def route_view(key: str, path: str, document: _Document | None, channel_name: str | None, *, is_demo: bool) -> Tree:
    """Return the view of a WebSocket.

    Args:
        key: Unique among the views.
        path: The URI template.
        document: The AsyncAPI document.
        channel_name: The conversation in it; None for a route that is not typed.
        is_demo: Whether it is the console's own room.
    """
    if document is None or channel_name is None:
        text = "The console's own room. Connect twice: what one says, both hear." if is_demo else ""
        panes = [_pane(key, number, path, _untyped_handshake(key, number, path, is_demo=is_demo)) for number in (1, 2)]
        return _view(path, text, None, panes)
    channel = document["channels"][channel_name]
    calls = [_Received(document, operation) for operation in _operations(document, channel_name, "receive")]
    panes = [
        _pane(
            key,
            number,
            path,
            _typed_handshake(key, number, path, channel, document),
            [call.form(f"{key}-{number}") for call in calls],
            conversation=channel_name,
            subprotocol=channel.get("x-subprotocol"),
        )
        for number in (1, 2)
    ]
    lead, *rest = channel["description"].split("\n\n")
    return _view(path, lead, _about(rest, document, channel), panes)


def free_view() -> Tree:
    """Return the view for a path that is not among the routes."""
    panes = [
        _pane(
            "any",
            number,
            "",
            [field(f"any-{number}-path", "Path", value="/", place="whole"), *_untyped_fields("any", number)],
        )
        for number in (1, 2)
    ]
    return _view("Another path", "For a WebSocket that is not in the list.", None, panes)


def _view(title: str, text: str, about: Tree | None, panes: list[Tree]) -> Tree:
    return el(
        "article",
        el("h2", title, tabindex="-1"),
        el("p", text, class_="lead") if text else None,
        about,
        el("div", *panes, class_="panes"),
        el("button", "Add a second connection", class_="add"),
    )


def _about(paragraphs: Sequence[str], document: _Document, channel: _Document) -> Tree:
    messages = [document["components"]["messages"][key] for key in channel["messages"]]
    rows = [el("p", el("code", message["name"]), f" {message.get('summary', '')}") for message in messages]
    return el("details", el("summary", "Messages and rules"), *rows, *(el("p", text) for text in paragraphs))


def _pane(
    key: str,
    number: int,
    path: str,
    handshake: list[Tree],
    messages: Sequence[Tree] = (),
    *,
    conversation: str | None = None,
    subprotocol: str | None = None,
) -> Tree:
    """Return a connection: the form of its handshake, a form for each message, and the log of messages."""
    prefix = f"{key}-{number}"
    plain = [
        _message("Text", "", [field(f"{prefix}-text", "text", lines=2, hint=_TEXT_HINT, label="Text")], kind="text"),
        _message("Binary", "", [field(f"{prefix}-hex", "hex", lines=2, hint=_HEX_HINT, label="Bytes")], kind="binary"),
    ]
    messages = [*messages, *plain]
    options = [el("option", message[1]["data-message"]) for message in messages]
    select = f"{prefix}-message"
    return el(
        "section",
        el("h3", f"Connection {number} ", el("span", "not connected", role="status")),
        el(
            "form",
            el("div", *handshake, class_="fields"),
            el("button", "Connect", class_="main"),
            class_="connect",
            autocomplete="off",
            data_path=_FIELD.sub(r"{\1}", path),
            data_conversation=conversation,
            data_subprotocol=subprotocol,
        ),
        el(
            "form",
            el(
                "fieldset",
                el("div", el("label", "Message", for_=select), el("select", *options, id=select), class_="row"),
                *messages,
                el("p", class_="error", role="alert"),
                el("button", "Send", class_="main"),
                disabled=True,
            ),
            class_="send",
            autocomplete="off",
        ),
        el("ol", class_="log", role="log", tabindex="0", aria_label=f"What connection {number} has sent and received"),
        el(
            "p",
            "Copy as ",
            *(el("button", text, data_copy=kind) for kind, text in _COPIES),
            el("button", "Clear", class_="clear"),
            class_="row",
        ),
        class_="pane",
        aria_label=f"Connection {number}",
        hidden=number > 1,
    )


def _message(name: str, note: str, fields: list[Tree], *, kind: str, is_call: bool = False) -> Tree:
    return el(
        "div",
        el("p", note, class_="note") if note else None,
        el("div", *fields, class_="fields"),
        data_message=name,
        data_kind=kind,
        data_call=is_call,
        hidden=True,
    )


def _untyped_handshake(key: str, number: int, path: str, *, is_demo: bool) -> list[Tree]:
    query = f"name={_DEMO_NAMES[number - 1]}" if is_demo else ""
    return [*_path_fields(key, number, path), *_untyped_fields(key, number, query)]


def _untyped_fields(key: str, number: int, query: str = "") -> list[Tree]:
    return [
        field(f"{key}-{number}-query", "Query", required=False, hint="such as name=ada", value=query, place="search"),
        field(
            f"{key}-{number}-subprotocols",
            "Subprotocols",
            required=False,
            hint="separated by commas",
            place="subprotocols",
        ),
    ]


def _typed_handshake(key: str, number: int, path: str, channel: _Document, document: _Document) -> list[Tree]:
    query = channel["bindings"]["ws"].get("query", {})
    prefix = f"{key}-{number}-query"
    return [
        *_path_fields(key, number, path),
        *fields_of(query, document["components"]["schemas"], prefix, place="query"),
    ]


def _path_fields(key: str, number: int, path: str) -> list[Tree]:
    return [
        field(f"{key}-{number}-path-{name}", name, place="rest" if converter == _REST else "path")
        for name, converter in _FIELD.findall(path)
    ]


class _Received:
    """A message from the client, as an AsyncAPI document describes it."""

    def __init__(self, document: _Document, operation: _Document) -> None:
        messages = document["components"]["messages"]
        self._message = messages[_last(operation["messages"][0]["$ref"])]
        self._schemas = document["components"]["schemas"]
        self._replies = [
            messages[_last(each["$ref"])]["name"] for each in operation.get("reply", {}).get("messages", ())
        ]

    def form(self, prefix: str) -> Tree:
        """Return its form."""
        name, schema = self._message["name"], self._schemas[_last(self._message["payload"]["$ref"])]
        answered = f"Answered by {' or '.join(self._replies)}." if self._replies else ""
        return _message(
            name,
            " ".join(filter(None, (self._message.get("summary"), answered))),
            fields_of(schema, self._schemas, f"{prefix}-{name}"),
            kind="typed",
            is_call="correlationId" in self._message,
        )


def _operations(document: _Document, channel_name: str, action: str) -> list[_Document]:
    return [
        operation
        for operation in document["operations"].values()
        if operation["action"] == action and _last(operation["channel"]["$ref"]) == channel_name
    ]


def rooms_view() -> Tree:
    """Return the view of the rooms, before there are any."""
    return el(
        "article",
        el("h2", "Rooms", tabindex="-1"),
        el("p", "The rooms that this process follows, and the last messages of each.", class_="lead"),
        el("div", el("p", "There are none yet."), id="rooms", class_="cards"),
    )


def room_view(room: _Document) -> Tree:
    """Return a room, as ``Rooms.snapshot()`` describes it."""
    names = ", ".join(room["present"])
    present = f"{room['count']} present: {names}" if room["count"] else "Nobody with a name is present."
    return el(
        "section",
        el("h3", room["room"], el("small", room["hub"]) if room["hub"] else None),
        el("p", room["problem"], class_="error") if room["problem"] else el("p", present),
        el("ol", *(el("li", el("code", text)) for text in room["messages"])),
    )


def _last(reference: str) -> str:
    return reference.rpartition("/")[2]
