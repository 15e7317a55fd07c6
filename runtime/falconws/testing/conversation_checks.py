"""Checks of the typed routes of an application: that what they declare holds, and that calls are answered.

Imported only by tests that use it: it needs the extra ``falconws[typed]``.
"""

from __future__ import annotations

import asyncio
import json
import re
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

from falconws.typed.asyncapi import MessageSchemas, asyncapi, replies_to, typed_routes, types_of
from falconws.typed.conversation import Conversation
from falconws.typed.examples import example_value
from falconws.typed.kinds import DECODE_ERRORS
from falconws.typed.messages import Error

from .client import Client
from .conversation import query_of
from .websocket import HandshakeDenied

__all__ = ("check_conversations",)


def check_conversations(app: Any, *, send_calls: bool = True, **options: Any) -> None:
    """Check what the typed routes of *app* declare; one line in a project's tests.

    Each message has an example that its own decoder accepts and that survives being encoded, the reply to each call is
    declared, and the AsyncAPI document can be made. The example of each call is sent, and gets one of its replies or an
    ``Error``. Routes that deny the handshake are sent nothing.

    Args:
        app: The application.
        send_calls: Whether to send calls. It runs the application with its lifespan, in a thread.
        options: Of ``Client.websocket()``: the headers that the application wants, for example.

    Raises:
        AssertionError: The app has no typed route.
        TypeError: A reply is not declared, or two messages have the same name.
        ExceptionGroup: With one error for each message that does not hold.
    """
    routes = typed_routes(app)
    if not routes:
        raise AssertionError("The application has no route with @speaks(...).")
    failures: list[Exception] = []
    asyncapi(app)
    schemas = MessageSchemas(each for _, conversation in routes for each in types_of(conversation))
    calls: list[_Call] = []
    for uri_template, conversation in routes:
        query = conversation.query and example_value(schemas[conversation.query], schemas.components)
        path = _example_path(uri_template, query)
        calls += [
            _Call(path, conversation, example_value(schemas[call_type], schemas.components), replies)
            for call_type in conversation.received.by_tag.values()
            if (replies := replies_to(call_type))
        ]
        for codec in (conversation.received, conversation.sent):
            for message_type in codec.by_tag.values():
                payload = json.dumps(example_value(schemas[message_type], schemas.components))
                try:
                    message = codec.decode(payload)
                    again = codec.decode(codec.encode(message))
                    if again != message:
                        raise AssertionError(f"{message!r} becomes {again!r}")
                except (*DECODE_ERRORS, AssertionError, TypeError) as error:
                    error.add_note(f"in the example {payload} of {conversation.__name__}'s {message_type.__name__}")
                    error.add_note("Where the example is at fault, give the field one: Meta(examples=[...]).")
                    failures.append(error)
    if not failures and send_calls and calls:
        # The test may be in an event loop itself.
        with ThreadPoolExecutor(1) as thread:
            failures += thread.submit(asyncio.run, _failures_of_calls(app, calls, options)).result()
    if failures:
        raise ExceptionGroup("messages that do not hold", failures)


class _Call(NamedTuple):
    path: str
    conversation: type[Conversation[Any, Any]]
    example: dict[str, Any]
    replies: tuple[type, ...]


async def _failures_of_calls(app: Any, calls: list[_Call], options: dict[str, Any]) -> list[Exception]:
    failures: list[Exception] = []
    async with Client(app) as client:
        for path, conversation, example, replies in calls:
            try:
                async with client.converse(conversation, path, **options) as ws:
                    await ws.send_raw({**example, "id": 1})
                    while getattr(answer := await ws.receive(object), "id", None) != 1:
                        pass
                if not isinstance(answer, (*replies, Error)):
                    raise AssertionError(f"Expected one of its replies, received {answer!r}")
            except HandshakeDenied:
                pass
            except (AssertionError, TimeoutError, ConnectionError) as error:
                error.add_note(f"after the call {example} on {path}")
                failures.append(error)
    return failures


_EXAMPLES = {
    "int": "1",
    "float": "1.5",
    "uuid": "6f1dbe2e-5cc4-4b0e-9a11-3c1f7e2a9d10",
    "dt": "2030-01-31T12:00:00Z",
    "path": "a/b",
}
"""A value for a field of a URI template, by its converter."""


def _example_path(uri_template: str, query: Any) -> str:
    path = re.sub(r"\{\w+(?::(\w+)[^}]*)?\}", lambda found: _EXAMPLES.get(found[1] or "", "example"), uri_template)
    return f"{path}?{query_of(query)}" if query else path
