"""What a room's messages look like on Redis: entries of its stream, and what is passed on its channel. Pure.

Anybody may write to a room's keys and channel. What is not as the scripts write it is None; text that is no UTF-8 is
taken for what it can be: BINARY, and a key with replacement characters.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from falconws.hub.broker import Payload, Publication
from falconws.hub.position import Position

__all__ = ("Came", "Went", "encode", "follow_each_other", "read_entry", "read_passed_on")

_TEXT = b"t"
_BINARY = b"b"


class Came(NamedTuple):
    """A member who is present from now on."""

    member: str
    info: bytes


class Went(NamedTuple):
    """A member who is not present any more."""

    member: str


def encode(payload: Payload) -> tuple[bytes, bytes]:
    """Return the kind of *payload*, and its bytes."""
    return (_TEXT, payload.encode()) if isinstance(payload, str) else (_BINARY, payload)


def read_entry(room: str, epoch: str, entry_id: bytes, fields: Sequence[bytes]) -> Publication | None:
    """Return the publication that an entry of the stream is."""
    offset, _, number = entry_id.partition(b"-")
    values = dict(zip(fields[::2], fields[1::2], strict=False))
    try:
        if number != b"0":
            return None
        position = Position(epoch, _number(offset))
        return Publication(
            room, _payload(values[b"t"], values[b"d"]), position, _number(values[b"p"]), _key(values.get(b"k"))
        )
    except (KeyError, ValueError):
        return None


def follow_each_other(publications: Sequence[Publication], first: int, last: int) -> bool:
    """Whether *publications* are all that there were after the offset *first*, to *last*."""
    offset: int = first
    for publication in publications:
        if publication.previous != offset:
            return False
        offset = publication.position.offset
    return offset == last


def read_passed_on(room: str, data: bytes) -> Publication | Came | Went | None:
    """Return what was passed on by the room's channel."""
    head, newline, body = data.partition(b"\n")
    if not newline:
        return None
    try:
        match head.split(b" "):
            case [b"m", epoch, offset, previous, kind, key_size]:
                key = None
                if key_size != b"-":
                    key, body = _split(body, key_size)
                position = Position(_name(epoch), _number(offset))
                return Publication(room, _payload(kind, body), position, _number(previous), _key(key))
            case [b"j", size]:
                member, info = _split(body, size)
                return Came(member.decode(), info)
            case [b"l"]:
                return Went(body.decode())
    except ValueError:
        pass
    return None


def _split(body: bytes, size_text: bytes) -> tuple[bytes, bytes]:
    size = _number(size_text)
    if size > len(body):
        raise ValueError("shorter than it says")
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
