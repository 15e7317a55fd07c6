"""What a room's messages look like on NATS: subjects, headers, payloads. Pure.

Anybody may publish to a room's subject. What is not as the hub writes it is taken for what it can be: bytes that are no
UTF-8 are BINARY, and a key without the mark stands for itself.
"""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from urllib.parse import quote, unquote

from falconws.hub.broker import Payload, Publication
from falconws.hub.position import Position

__all__ = ("ANCHOR_HEADER", "Headers", "anchor", "decode", "encode", "name_of", "number", "place_of", "token_of")

ANCHOR_HEADER = "Falconws-Anchor"
"""On a message that only marks where its room stands."""

_PLACE_HEADER = "Falconws-Stands-For"
"""On an anchor: the offset at which its room stands. The anchor of a room that has had no message stands for itself."""

_TYPE_HEADER = "Falconws-Type"
_KEY_HEADER = "Falconws-Key"
_KEY_MARK = "="
"""Before each key: a header may not be empty."""

Headers = Mapping[str, str]


def token_of(name: str) -> str:
    """Return *name* as one token of a subject."""
    return quote(name, safe="").replace(".", "%2E")


def name_of(token: str) -> str:
    """Return the name that ``token_of()`` has made *token* of."""
    return unquote(token)


def encode(payload: Payload, key: str | None) -> tuple[bytes, dict[str, str]]:
    """Return payload and headers of a message to publish; it is stored once, however often it is sent."""
    # JetStream drops a repetition with the same id: the answer to the first may have been lost.
    headers = {"Nats-Msg-Id": secrets.token_hex(10)}
    if isinstance(payload, str):
        payload = payload.encode()
    else:
        headers[_TYPE_HEADER] = "binary"
    if key is not None:
        headers[_KEY_HEADER] = _KEY_MARK + quote(key)
    return payload, headers


def anchor(place: int | None) -> dict[str, str]:
    """Return the headers of an anchor that stands for *place*; None: for itself."""
    return {ANCHOR_HEADER: "1"} if place is None else {ANCHOR_HEADER: "1", _PLACE_HEADER: str(place)}


def place_of(headers: Headers, sequence: int) -> int:
    """Return the offset at which a room stands whose newest message is that with *headers* at *sequence*."""
    place = number(headers, _PLACE_HEADER) if ANCHOR_HEADER in headers else None
    return sequence if place is None else min(place, sequence)


def decode(room: str, position: Position, previous: int | None, headers: Headers, data: bytes) -> Publication:
    """Return the publication that a message is, whoever has written it."""
    payload: Payload = data
    if headers.get(_TYPE_HEADER) != "binary":
        try:
            payload = data.decode()
        except UnicodeDecodeError:
            payload = data
    key = headers.get(_KEY_HEADER)
    if key is not None and key.startswith(_KEY_MARK):
        key = unquote(key.removeprefix(_KEY_MARK))
    return Publication(room, payload, position, previous, key)


def number(headers: Headers, name: str) -> int | None:
    """Return the number in the header *name*, None if there is none."""
    text = headers.get(name, "")
    return int(text) if text.isascii() and text.isdigit() else None
