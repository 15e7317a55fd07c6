"""Media handlers: from an object to the payload of one message, and back.

The base classes are Falcon's. Every handler here raises a ValueError for a payload that it cannot decode. Knows nothing
of connections.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from falcon import WebSocketPayloadType
from falcon.media import BinaryBaseHandlerWS, MessagePackHandlerWS, TextBaseHandlerWS

__all__ = (
    "BinaryBaseHandlerWS",
    "JSONHandlerWS",
    "MessagePackHandlerWS",
    "TextBaseHandlerWS",
    "WebSocketPayloadType",
)


def _refuse_constant(name: str) -> object:
    raise json.JSONDecodeError(f"{name} is not JSON", name, 0)


_decode = json.JSONDecoder(parse_constant=_refuse_constant).decode
_encode = json.JSONEncoder(ensure_ascii=False, allow_nan=False).encode
_encode_ascii = json.JSONEncoder(allow_nan=False).encode


def _dumps(media: object) -> str:
    text = _encode(media)
    if not text.isascii():
        try:
            text.encode()
        except UnicodeEncodeError:
            # A lone surrogate: allowed in JSON as an escape (RFC 8259 section 8.2), but not in a TEXT message.
            return _encode_ascii(media)
    return text


def _loads(payload: str) -> Any:
    try:
        return _decode(payload)
    except RecursionError:
        # A few kilobytes of brackets are enough for it.
        raise json.JSONDecodeError("Nested too deeply", payload, 0) from None


class JSONHandlerWS(TextBaseHandlerWS):
    """The default TEXT handler: JSON through the standard library.

    NaN and the infinities are not JSON (RFC 8259 section 6). Both directions refuse them; Falcon's handler does not.

    Args:
        dumps: Serializes an object to a ``str`` (default: ``json.dumps`` with non-ASCII characters left as they are).
        loads: Deserializes a ``str``; it should raise a ValueError for a payload that it cannot decode.
    """

    def __init__(self, dumps: Callable[[Any], str] | None = None, loads: Callable[[str], Any] | None = None) -> None:
        self._dumps = dumps or _dumps
        self._loads = loads or _loads

    def serialize(self, media: object) -> str:
        """Return *media* as a JSON document. Raises TypeError or ValueError for what JSON cannot express."""
        return self._dumps(media)

    def deserialize(self, payload: str) -> Any:
        """Return the object that *payload* stands for. Raises ``json.JSONDecodeError``, a ValueError."""
        return self._loads(payload)
