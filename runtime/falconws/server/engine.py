"""The choice of the WebSocket engine. Knows how to find engines, and their versions, but not how they work."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from types import ModuleType

from falconws.server.errors import StartError

ENGINES = ("auto", "picows", "websockets-sansio", "websockets", "wsproto")


@dataclass(frozen=True)
class Engine:
    """The engine that was chosen.

    Attributes:
        ws: The value for uvicorn's `ws=` option: the import string of our engine, or one of uvicorn's names.
        title: Name and version.
        fast: Whether it is our engine, with all of its limits and the ASGI extension.
        notice: Why "auto" did not choose our engine; "" otherwise.
    """

    ws: str
    title: str
    fast: bool
    notice: str = ""


def choose_engine(name: str) -> Engine:
    """Return the engine called *name*; "auto" is picows if it can be imported, else websockets-sansio.

    Raises:
        StartError: There is no such engine, or its package cannot be imported.
    """
    if name not in ENGINES:
        raise StartError(f'Unknown engine "{name}"; choose one of {", ".join(ENGINES)}.')
    if name in ("auto", "picows"):
        try:
            importlib.import_module("picows.picows")
            module = importlib.import_module("picows")
        except ImportError as error:
            if name == "picows":
                raise StartError(
                    f"The engine picows cannot be imported ({error}); install it or choose another engine."
                ) from error
            fallback = choose_engine("websockets-sansio")
            return Engine(fallback.ws, fallback.title, False, f"picows cannot be imported ({error})")
        return Engine("falconws.server.websocket.protocol:WebSocketProtocol", _title("picows", module), True)
    package = name.partition("-")[0]
    try:
        module = importlib.import_module(package)
    except ImportError as error:
        raise StartError(
            f"The engine {name} needs the package {package}, which cannot be imported ({error}); "
            "install it or choose another engine."
        ) from error
    ws = "falconws.server.wsproto_engine:WsprotoProtocol" if name == "wsproto" else name
    return Engine(ws, _title(name, module), False)


def _title(name: str, module: ModuleType) -> str:
    # importlib.metadata knows the version of any package, but importing it takes 4 % of the start-up.
    return f"{name} {module.__version__}"
