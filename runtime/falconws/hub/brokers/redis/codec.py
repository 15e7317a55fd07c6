"""The format of a room's messages on Redis: entries of its stream, and messages on its channel. Pure.

Other programs may write to a room's keys and channel. Anything that the scripts would not write is decoded to None.
TEXT that is not UTF-8 is decoded as BINARY; in a key, invalid bytes are replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from falconws.hub.broker import EphemeralPublication, Payload, Publication
from falconws.hub.brokers.presence import MemberEvent
from falconws.hub.position import Position

__all__ = (
    "decode_entry",
    "decode_push",
    "encode",
    "encode_ephemeral",
    "is_contiguous",
    "microseconds",
)

_TEXT = b"t"
_BINARY = b"b"


def microseconds(seconds: float) -> int:
    """Return *seconds* in the scripts' unit of time."""
    return int(seconds * 1_000_000)


def encode(payload: Payload) -> tuple[bytes, bytes]:
    """Return the kind of *payload*, and its bytes."""
    return (_TEXT, payload.encode()) if isinstance(payload, str) else (_BINARY, payload)


def decode_entry(room: str, epoch: str, entry_id: bytes, fields: Sequence[bytes]) -> Publication | None:
    """Return the publication in an entry of the stream."""
    offset, _, number = entry_id.partition(b"-")
    values = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        if number != b"0":
            return None
        position = Position(epoch, _number(offset))
        payload, previous = _payload(values[b"t"], values[b"d"]), _number(values[b"p"])
        return Publication(room, payload, position, previous, _key(values.get(b"k")), _key(values.get(b"x")))
    except (KeyError, ValueError):
        return None


def encode_ephemeral(payload: Payload, key: str | None, exclude: str | None) -> bytes:
    """Return the message on the channel for a message that is not kept."""
    kind, data = encode(payload)
    encoded_key = b"" if key is None else key.encode()
    key_size = b"-" if key is None else b"%d" % len(encoded_key)
    return b"e %s %s %s\n%s%s" % (kind, key_size, (exclude or "-").encode(), encoded_key, data)


def is_contiguous(publications: Sequence[Publication], first: int, last: int) -> bool:
    """Whether *publications* are complete from the one after the offset *first* to the one at *last*."""
    offset: int = first
    for publication in publications:
        if publication.previous != offset:
            return False
        offset = publication.position.offset
    return offset == last


def decode_push(room: str, data: bytes) -> Publication | EphemeralPublication | MemberEvent | None:
    """Return what a message on the room's channel says."""
    head, newline, body = data.partition(b"\n")
    if not newline:
        return None
    try:
        match head.split(b" "):
            case [b"m", epoch, offset, previous, kind, key_size, exclude]:
                key, body = _split_key(body, key_size)
                position = Position(_name(epoch), _number(offset))
                payload = _payload(kind, body)
                return Publication(room, payload, position, _number(previous), _key(key), _exclude(exclude))
            case [b"e", kind, key_size, exclude]:
                key, body = _split_key(body, key_size)
                return EphemeralPublication(room, _payload(kind, body), _key(key), _exclude(exclude))
            case [b"j" | b"u" as kind, devices, size]:
                member, info = _split(body, size)
                change: Literal["joined", "updated"] = "joined" if kind == b"j" else "updated"
                return MemberEvent(change, member.decode(), info, _number(devices))
            case [b"l", b"0", size]:
                member, _ = _split(body, size)
                return MemberEvent("left", member.decode(), b"", 0)
    except ValueError:
        pass
    return None


def _split_key(body: bytes, size: bytes) -> tuple[bytes | None, bytes]:
    return (None, body) if size == b"-" else _split(body, size)


def _exclude(text: bytes) -> str | None:
    return None if text == b"-" else text.decode("utf-8", "replace")


def _split(body: bytes, size_text: bytes) -> tuple[bytes, bytes]:
    size = _number(size_text)
    if size > len(body):
        raise ValueError("shorter than its header says")
    return body[:size], body[size:]


def _payload(kind: bytes, data: bytes) -> Payload:
    if kind == _TEXT:
        try:
            return data.decode()
        except UnicodeDecodeError:
            return data
    if kind != _BINARY:
        raise ValueError("neither text nor binary")
    return data


def _key(key: bytes | None) -> str | None:
    return None if key is None else key.decode("utf-8", "replace")


def _name(text: bytes) -> str:
    if not text.isalnum():
        raise ValueError("not an epoch")
    return text.decode()


def _number(text: bytes) -> int:
    if not text.isdigit():
        raise ValueError("not a number")
    return int(text)
