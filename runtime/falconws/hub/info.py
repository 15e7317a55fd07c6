"""What others are shown of a member: anything that JSON can express, on the way as its bytes."""

from __future__ import annotations

import json
import logging
from typing import Any

__all__ = ("decode_info",)

_logger = logging.getLogger("falconws.hub")


def decode_info(room: str, member: str, info: bytes) -> Any:
    """Return the *info* of a member; None, and a line in the log, when another program has written what is no JSON."""
    if info == b"null":
        return None
    try:
        return json.loads(info)
    except (ValueError, RecursionError):
        _logger.warning("The info of member %r of room %r is not JSON", member, room)
        return None
