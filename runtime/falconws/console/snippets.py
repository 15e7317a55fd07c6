"""Renders a conversation of the console as code: a command line, TypeScript, or a test. Pure."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

__all__ = ("KINDS", "Spoken", "snippet", "spoken")

KINDS = ("command", "typescript", "python")
_VOLATILE = {"position", "id", "at"}
"""Members of a message whose values differ each time."""


@dataclass(frozen=True)
class Spoken:
    """What a generated client needs to open a typed conversation."""

    name: str
    path: str
    params: dict[str, str]
    query: dict[str, Any]


def spoken(document: Mapping[str, Any], name: str, path: str, target: str) -> Spoken:
    """Return the parameters of the conversation *name* of an AsyncAPI document, as *target* has them.

    Args:
        document: The document.
        name: The name of its channel.
        path: The URI template, with plain fields.
        target: Path and query, as the browser sends them.
    """
    taken, _, search = target.partition("?")
    pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>[^/]*)", re.escape(path))
    found = re.fullmatch(pattern, taken) or re.fullmatch(pattern.replace("[^/]*", ".*"), taken)
    params = {key: unquote(value) for key, value in found.groupdict().items()} if found else {}
    schema = document["channels"][name]["bindings"]["ws"].get("query", {}).get("properties", {})
    query = {key: _value(text, schema.get(key, {})) for key, text in parse_qsl(search, keep_blank_values=True)}
    return Spoken(name, path, params, query)


def _value(text: str, schema: Mapping[str, Any]) -> Any:
    """Return a value of the query as its type has it."""
    if schema.get("type") in ("integer", "number", "boolean"):
        try:
            return json.loads(text)
        except ValueError:
            return text
    return text


def snippet(
    kind: str,
    url: str,
    target: str,
    subprotocols: Sequence[str],
    events: Sequence[Mapping[str, Any]],
    conversation: Spoken | None = None,
) -> str:
    """Return the conversation as *kind*, one of ``KINDS``.

    Args:
        kind: "command" for `falconws connect`, "typescript", or "python" for a test with the in-process client.
        url: The whole URL of the WebSocket.
        target: Its path and query, as the application sees them.
        subprotocols: Those that the client offers.
        events: What has happened, in order: ``{"sent": text}``, ``{"sentHex": bytes}``, ``{"received": text}``,
            ``{"receivedHex": bytes}``, ``{"closed": code}`` or ``{"refused": status}``.
        conversation: For TypeScript with the client that `falconws generate-client ts` writes; None for an untyped one.

    Raises:
        ValueError: *kind* is not one of ``KINDS``.
    """
    match kind:
        case "command":
            return _command(url, subprotocols, events)
        case "typescript" if conversation is not None:
            return _typed_typescript(url.partition(target)[0], conversation, events)
        case "typescript":
            return _typescript(url, subprotocols, events)
        case "python":
            return _python(target, subprotocols, events)
    raise ValueError(f"{kind!r} is not one of {', '.join(KINDS)}.")


def _command(url: str, subprotocols: Sequence[str], events: Sequence[Mapping[str, Any]]) -> str:
    texts = [event["sent"] for event in events if "sent" in event]
    binary = [event["sentHex"] for event in events if "sentHex" in event]
    words = ["falconws", "connect", url]
    for subprotocol in subprotocols:
        words += ["--subprotocol", subprotocol]
    if binary and not texts:
        words.append("--hex")
    for text in texts or binary:
        words += ["--send", text]
    line = shlex.join(words)
    return f"{line}\n# Its messages are of one kind: the BINARY ones are left out." if texts and binary else line


def _typescript(url: str, subprotocols: Sequence[str], events: Sequence[Mapping[str, Any]]) -> str:
    arguments = [_js(url)] + ([_js(list(subprotocols))] if subprotocols else [])
    lines = [f"const ws = new WebSocket({', '.join(arguments)});"]
    if any("sentHex" in event or "receivedHex" in event for event in events):
        lines.append('ws.binaryType = "arraybuffer";')
    sends = [_typescript_send(event) for event in events if "sent" in event or "sentHex" in event]
    if sends:
        lines += ["ws.onopen = () => {", *(f"  {send}" for send in sends), "};"]
    lines += [
        "ws.onmessage = ({ data }: MessageEvent<string | ArrayBuffer>) => console.log(data);",
        "ws.onclose = ({ code, reason }: CloseEvent) => console.log(code, reason);",
    ]
    return "\n".join(lines)


def _typescript_send(event: Mapping[str, Any]) -> str:
    if "sentHex" in event:
        data = bytes.fromhex(event["sentHex"])
        return f"ws.send(new Uint8Array([{', '.join(map(str, data))}]));"
    message = _object(event["sent"])
    return f"ws.send({_js(event['sent'])});" if message is None else f"ws.send(JSON.stringify({_js(message)}));"


def _typed_typescript(base: str, conversation: Spoken, events: Sequence[Mapping[str, Any]]) -> str:
    lines = [f"  url: {_js(base.replace('ws', 'http', 1))},"]
    lines += [f"  {key}: {_js(value)}," for key, value in _handshake(conversation) if value]
    steps = [step for event in events if "sent" in event for step in _typed_steps(event["sent"])]
    opened = ["client.onStatus(async (status) => {", '  if (status !== "open") return;', *steps, "});"] if steps else []
    return "\n".join(
        (
            "// falconws generate-client ts --output falconws",
            f'import {{ connect{conversation.name} }} from "./falconws";',
            "",
            f"const client = connect{conversation.name}({{",
            *lines,
            "});",
            'client.on("*", (message) => console.log(message));',
            *opened,
        )
    )


def _handshake(conversation: Spoken) -> list[tuple[str, dict[str, Any]]]:
    # The client sends the position itself.
    query = {key: value for key, value in conversation.query.items() if key != "since"}
    return [("params", conversation.params), ("query", query)]


def _typed_steps(text: str) -> list[str]:
    message = _object(text)
    if message is None or "type" not in message:
        return []
    if "id" not in message:
        return [f"  client.send({_js(message)});"]
    members = {key: value for key, value in message.items() if key not in ("type", "id")}
    return [f"  console.log(await client.call({_js(message['type'])}, {_js(members)}));"]


def _js(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _python(target: str, subprotocols: Sequence[str], events: Sequence[Mapping[str, Any]]) -> str:
    path = target.partition("?")[0]
    name = re.sub(r"\W+", "_", path, flags=re.ASCII).strip("_").lower() or "root"
    offered = f", subprotocols={_py(list(subprotocols))}" if subprotocols else ""
    opening = f"client.websocket({_py(target)}{offered})"
    refused = next((event["refused"] for event in events if "refused" in event), None)
    if refused is not None:
        imports = "import pytest\nfrom falconws.testing import Client, HandshakeDenied"
        body = [
            "with pytest.raises(HandshakeDenied) as refused:",
            f"    async with {opening}:",
            "        pass",
            f"assert refused.value.status == {int(refused)}",
        ]
    else:
        imports = "from falconws.testing import Client"
        steps = [step for event in events for step in _python_steps(event)] or ["pass"]
        body = [f"async with {opening} as ws:", *(f"    {step}" for step in steps)]
    lines = "\n".join(f"    {line}" for line in body)
    return f"{imports}\n\n\nasync def test_{name}(client: Client) -> None:\n{lines}\n"


def _python_steps(event: Mapping[str, Any]) -> list[str]:
    match event:
        case {"sent": str(text)}:
            message = _object(text)
            return [f"await ws.send_text({_py(text)})" if message is None else f"await ws.send_media({_py(message)})"]
        case {"sentHex": str(data)}:
            return [f"await ws.send_data({_py(bytes.fromhex(data))})"]
        case {"received": str(text)}:
            message = _object(text)
            if message is None:
                return [f"assert await ws.receive_text() == {_py(text)}"]
            if "type" in message and _VOLATILE & message.keys():
                return [f'assert (await ws.receive_media())["type"] == {_py(message["type"])}']
            return [f"assert await ws.receive_media() == {_py(message)}"]
        case {"receivedHex": str(data)}:
            return [f"assert await ws.receive_data() == {_py(bytes.fromhex(data))}"]
        case {"closed": int(code)}:
            return [f"assert await ws.wait_closed() == {code}"]
    return []


def _py(value: Any) -> str:
    """Return *value* as Python source with double quotes where that needs no more escapes."""
    match value:
        case str():
            text = repr(value)
            return f'"{text[1:-1]}"' if text.startswith("'") and '"' not in value else text
        case bytes():
            text = repr(value)[1:]
            return f'b"{text[1:-1]}"' if text.startswith("'") and b'"' not in value else f"b{text}"
        case list():
            return f"[{', '.join(map(_py, value))}]"
        case dict():
            return f"{{{', '.join(f'{_py(key)}: {_py(each)}' for key, each in value.items())}}}"
    return repr(value)


def _object(text: str) -> dict[str, Any] | None:
    """Return the JSON object in *text*, or None if it is not one that comes out the same again."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None
