"""Messages as a user types and reads them: text, JSON, MessagePack and hexadecimal. Pure; must not know connections."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

Message = str | bytes
"""The payload of a TEXT message or of a BINARY one."""

SHOWN_CHARACTERS = 20_000
"""How many characters of a message are shown on a terminal."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
# C0 except tab and line feed, DEL, C1, and bidirectional controls: a server must not control the terminal.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Payload(Enum):
    """How a typed line is encoded."""

    TEXT = "text"
    """A TEXT message."""
    BINARY = "binary"
    """A BINARY message of its UTF-8 bytes."""
    HEX = "hex"
    """A BINARY message; the line has its bytes in hexadecimal."""
    MSGPACK = "msgpack"
    """A BINARY message; the line is JSON and is sent as MessagePack."""


@dataclass(frozen=True)
class Media:
    """The object that a message encodes."""

    value: Any
    text: str
    """The object as JSON."""


def encode(line: str, payload: Payload) -> Message:
    """Encode a line.

    Raises:
        ValueError: The line does not fit *payload*; the text is the end of a sentence.
    """
    if payload is Payload.TEXT:
        return line
    if payload is Payload.BINARY:
        return line.encode()
    if payload is Payload.HEX:
        try:
            return bytes.fromhex(line)
        except ValueError:
            raise ValueError("is not hexadecimal, which looks like 48 65 6c 6c 6f") from None
    import msgpack  # type: ignore[import-untyped]

    try:
        packed: bytes = msgpack.packb(json.loads(line))
    except (ValueError, RecursionError, OverflowError) as error:
        raise ValueError(f"is not JSON that MessagePack can encode ({error})") from None
    return packed


def media_of(message: Message, *, scalars: bool = False) -> Media | None:
    """Decode JSON in a TEXT message or MessagePack in a BINARY one; return None for anything else.

    Args:
        message: The received message.
        scalars: Whether bytes count as MessagePack when they decode to a single number or string. Most short byte
            sequences do.
    """
    if isinstance(message, str):
        try:
            return Media(json.loads(message), message)
        except (ValueError, RecursionError):
            return None
    import msgpack

    try:
        value = msgpack.unpackb(message, strict_map_key=False, timestamp=3)
    except (ValueError, RecursionError, msgpack.UnpackException):
        return None
    if not scalars and not isinstance(value, (dict, list)):
        return None
    try:
        return Media(value, json.dumps(value, ensure_ascii=False, default=_as_text))
    except (TypeError, ValueError, RecursionError):
        return None


def plain(message: Message, *, scalars: bool = False) -> str:
    """Return *message* for a program: text unchanged, MessagePack as one line of JSON, other bytes in hexadecimal."""
    if isinstance(message, str):
        return message
    media = media_of(message, scalars=scalars)
    return message.hex() if media is None else media.text


def readable(message: Message, width: int, *, scalars: bool = False) -> str:
    """Return *message* for a terminal of *width* columns: JSON that does not fit is indented."""
    text = plain(message, scalars=scalars)
    if len(text) > width and len(text) <= SHOWN_CHARACTERS and media_of(message, scalars=scalars) is not None:
        text = indent(text)
    left_out = len(text) - SHOWN_CHARACTERS
    if left_out > 0:
        text = f"{text[:SHOWN_CHARACTERS]} ... ({left_out:,} more characters)"
    return printable(text)


def kind_of(message: Message, *, scalars: bool = False) -> str:
    """Return the kind and size of a BINARY message in parentheses; an empty string for a TEXT message."""
    if isinstance(message, str):
        return ""
    name = "BINARY" if media_of(message, scalars=scalars) is None else "MessagePack"
    return f"({name}, {len(message):,} byte{'' if len(message) == 1 else 's'})"


def printable(text: str) -> str:
    """Return *text* with control characters as Python escape sequences."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def indent(text: str) -> str:
    """Return a JSON document with one item a line; the tokens are unchanged."""
    lines = [""]
    depth = 0
    tokens = _TOKEN.findall(text)
    for position, token in enumerate(tokens):
        if token in ("}", "]"):
            depth -= 1
            if tokens[position - 1] not in ("{", "["):
                lines.append("  " * depth)
        lines[-1] += token
        if token in ("{", "["):
            depth += 1
        if token == ":":
            lines[-1] += " "
        elif token == "," or (token in ("{", "[") and tokens[position + 1] not in ("}", "]")):
            lines.append("  " * depth)
    return "\n".join(lines)


def _as_text(value: object) -> str:
    """Return text for a type that JSON lacks: bytes in hexadecimal, a time as ISO 8601, others by str()."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
