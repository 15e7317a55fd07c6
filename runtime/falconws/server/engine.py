"""Which WebSocket engine serves, and what it is called. Knows how to find engines, not how they work."""

from __future__ import annotations

import importlib
import importlib.metadata
from dataclasses import dataclass

from falconws.server.errors import StartError

ENGINES = ("auto", "picows", "websockets-sansio", "websockets", "wsproto")


@dataclass(frozen=True)
class Engine:
    """A choice made: what uvicorn's `ws=` option takes, and what the start-up line says.

    Attributes:
        ws: An import string of ours, or one of uvicorn's names.
        title: Name and version.
        fast: Whether it is ours, with all its limits and the ASGI extension.
        notice: Why it is not the fast one, when nobody chose so; "" otherwise.
    """

    ws: str
    title: str
    fast: bool
    notice: str = ""


def choose_engine(name: str) -> Engine:
    """Return the engine called *name*; "auto" is picows where it can be imported.

    Raises:
        StartError: There is no such engine, or its package cannot be imported.
    """
    if name not in ENGINES:
        raise StartError(f'Unknown engine "{name}"; choose one of {", ".join(ENGINES)}.')
    if name in ("auto", "picows"):
        try:
            importlib.import_module("picows.picows")
        except ImportError as error:
            if name == "picows":
                raise StartError(
                    f"The engine picows cannot be imported ({error}); install it or choose another."
                ) from error
            fallback = choose_engine("websockets-sansio")
            return Engine(fallback.ws, fallback.title, False, f"picows cannot be imported ({error})")
        return Engine("falconws.server.websocket.protocol:WebSocketProtocol", _title("picows", "picows"), True)
    package = name.partition("-")[0]
    try:
        importlib.import_module(package)
    except ImportError as error:
        raise StartError(
            f"The engine {name} needs the package {package}, which cannot be imported ({error}); "
            "install it or choose another engine."
        ) from error
    return Engine(name, _title(name, package), False)


def _title(name: str, package: str) -> str:
    return f"{name} {importlib.metadata.version(package)}"
