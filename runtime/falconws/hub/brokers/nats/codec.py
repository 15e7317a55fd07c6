"""The format of a room's messages on NATS: subjects, headers, payloads. Pure.

Other programs may publish to a room's subject. Their messages are decoded as far as possible: TEXT that is not UTF-8
becomes BINARY, and a key without the mark is taken as it is.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import quote, unquote

from falconws.hub.broker import EphemeralPublication, Payload, Publication
from falconws.hub.position import Position

__all__ = (
    "ANCHOR_HEADER",
    "Headers",
    "anchor",
    "decode",
    "decode_ephemeral",
    "encode",
    "name_of",
    "number",
    "offset_of",
    "token_of",
)

ANCHOR_HEADER = "Falconws-Anchor"
"""Marks a message that only preserves the position of its room."""

_OFFSET_HEADER = "Falconws-Stands-For"
"""On an anchor: the offset of the room's last publication. The anchor of a room without messages has no such header,
and stands for itself."""

_TYPE_HEADER = "Falconws-Type"
_KEY_HEADER = "Falconws-Key"
_EXCLUDE_HEADER = "Falconws-Exclude"
_KEY_MARK = "="
"""Precedes each key: a header may not be empty."""

Headers = Mapping[str, str]


def token_of(name: str) -> str:
    """Return *name* as one token of a subject."""
    return quote(name, safe="").replace(".", "%2E")


def name_of(token: str) -> str:
    """Return the name of which ``token_of()`` made *token*."""
    return unquote(token) if "%" in token else token


def encode(payload: Payload, key: str | None, exclude: str | None = None) -> tuple[bytes, dict[str, str]]:
    """Return payload and headers of a message; the stream stores it once, however often it is sent."""
    # JetStream drops a repetition with the same id: the answer to the first one may have been lost.
    headers = {"Nats-Msg-Id": secrets.token_hex(10)}
    if isinstance(payload, str):
        payload = payload.encode()
    else:
        headers[_TYPE_HEADER] = "binary"
    if key is not None:
        headers[_KEY_HEADER] = _KEY_MARK + quote(key)
    if exclude is not None:
        headers[_EXCLUDE_HEADER] = exclude
    return payload, headers


def anchor(offset: int | None) -> dict[str, str]:
    """Return the headers of an anchor that stands for *offset*; None: for itself."""
    return {ANCHOR_HEADER: "1"} if offset is None else {ANCHOR_HEADER: "1", _OFFSET_HEADER: str(offset)}


def offset_of(headers: Headers, sequence: int) -> int:
    """Return the offset of a room whose newest message has *headers* and *sequence*."""
    offset = number(headers, _OFFSET_HEADER) if ANCHOR_HEADER in headers else None
    return sequence if offset is None else min(offset, sequence)


def decode(room: str, position: Position, previous: int | None, headers: Headers, data: bytes) -> Publication:
    """Return the publication in a message, whichever program has written it."""
    payload, key, exclude = _read(headers, data)
    return Publication(room, payload, position, previous, key, exclude)


def decode_ephemeral(room: str, headers: Headers, data: bytes) -> EphemeralPublication:
    """Return a message that is not kept."""
    return EphemeralPublication(room, *_read(headers, data))


def _read(headers: Headers, data: bytes) -> tuple[Payload, str | None, str | None]:
    payload: Payload = data
    if headers.get(_TYPE_HEADER) != "binary":
        try:
            payload = data.decode()
        except UnicodeDecodeError:
            payload = data
    key = headers.get(_KEY_HEADER)
    if key is not None and key.startswith(_KEY_MARK):
        key = unquote(key.removeprefix(_KEY_MARK))
    return payload, key, headers.get(_EXCLUDE_HEADER)


def number(headers: Headers, name: str) -> int | None:
    """Return the number in the header *name*; None if there is none."""
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
