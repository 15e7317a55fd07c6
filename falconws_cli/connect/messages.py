"""Messages as a user types and reads them: text, JSON, MessagePack, hexadecimal digits. Pure."""

import json
import re
from dataclasses import dataclass
from enum import Enum
from typing import Any

Message = str | bytes
"""The payload of a TEXT message or of a BINARY one."""

SHOWN_CHARACTERS = 20_000
"""How much of a message is shown to a person."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
# C0 but for tab and line feed, DEL, C1, and what turns the direction of writing: a server must not drive the terminal.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


class Payload(Enum):
    """What a typed line becomes."""

    TEXT = "text"
    """A TEXT message."""
    BINARY = "binary"
    """A BINARY message of its UTF-8 bytes."""
    HEX = "hex"
    """A BINARY message of the bytes whose hexadecimal digits the line has."""
    MSGPACK = "msgpack"
    """A BINARY message: the line is JSON, and is sent as MessagePack."""


@dataclass(frozen=True)
class Media:
    """An object that a message stands for."""

    value: Any
    text: str
    """As JSON."""


def encode(line: str, payload: Payload) -> Message:
    """Return the message that a line means.

    Raises:
        ValueError: The line is not what *payload* needs; the text is the end of a sentence.
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
        raise ValueError(f"is no JSON that MessagePack can carry ({error})") from None
    return packed


def media_of(message: Message, *, scalars: bool = False) -> Media | None:
    """Return the object that *message* stands for: JSON in a TEXT message, MessagePack in a BINARY one; else None.

    Args:
        message: What came.
        scalars: Whether bytes that may be a lone number or string of MessagePack are taken for one. Most short
            sequences of bytes are.
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
    """Return *message* for a program: text as it is, MessagePack as a line of JSON, other bytes in hexadecimal."""
    if isinstance(message, str):
        return message
    media = media_of(message, scalars=scalars)
    return message.hex() if media is None else media.text


def readable(message: Message, width: int, *, scalars: bool = False) -> str:
    """Return *message* for a person at a terminal of *width* columns: JSON on several lines when it is wide."""
    text = plain(message, scalars=scalars)
    if len(text) > width and len(text) <= SHOWN_CHARACTERS and media_of(message, scalars=scalars) is not None:
        text = indent(text)
    left_out = len(text) - SHOWN_CHARACTERS
    if left_out > 0:
        text = f"{text[:SHOWN_CHARACTERS]} ... ({left_out:,} more characters)"
    return printable(text)


def kind_of(message: Message, *, scalars: bool = False) -> str:
    """Return what a BINARY message is, in brackets, and "" for a TEXT message."""
    if isinstance(message, str):
        return ""
    name = "BINARY" if media_of(message, scalars=scalars) is None else "MessagePack"
    return f"({name}, {len(message):,} byte{'' if len(message) == 1 else 's'})"


def printable(text: str) -> str:
    """Return *text* with what would steer a terminal written as an escape sequence of Python's."""
    return _UNPRINTABLE.sub(lambda found: found[0].encode("unicode_escape").decode(), text)


def indent(text: str) -> str:
    """Return a JSON document with one item a line; every token stays as it was written."""
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
    """What JSON has no word for: bytes in hexadecimal, a time as ISO 8601, MessagePack's extensions as they are."""
    if isinstance(value, bytes):
        return value.hex()
    return value.isoformat() if hasattr(value, "isoformat") else str(value)
