"""Media handlers: from an object to the payload of one message, and back.

The base classes are Falcon's. Every handler here raises a ValueError for a payload that it cannot decode. Knows nothing
of connections.
"""

from __future__ import annotations

import json
import math
import re
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


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise json.JSONDecodeError("Number too large", digits, 0)
    return number


_decode = json.JSONDecoder(parse_constant=_refuse_constant, parse_float=_finite).decode
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


_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def _loads(payload: str) -> Any:
    try:
        media = _decode(payload)
        if _SURROGATE.search(payload) is not None:
            # A surrogate without its other half cannot be encoded in UTF-8, nor passed on (RFC 8259 section 8.2).
            _encode(media).encode()
    except RecursionError:
        # A few kilobytes of nested brackets are enough to cause it.
        raise json.JSONDecodeError("Nested too deeply", payload, 0) from None
    except UnicodeEncodeError:
        raise json.JSONDecodeError("Lone surrogate", payload, 0) from None
    return media


def loads_body(body: str) -> Any:
    """Return the object in the JSON *body* of a request; ValueError, not RecursionError, where it is nested too deeply.

    Otherwise like ``json.loads``, which Falcon uses.
    """
    try:
        return json.loads(body)
    except RecursionError:
        raise json.JSONDecodeError("Nested too deeply", body, 0) from None


class JSONHandlerWS(TextBaseHandlerWS):
    """The default TEXT handler: JSON through the standard library.

    NaN, the infinities and numbers as large as 1e400 are not JSON (RFC 8259 section 6). Both directions refuse them;
    Falcon's handler does not. Escapes of a lone surrogate are refused when they are received.

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
