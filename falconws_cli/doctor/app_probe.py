"""The process that imports the app: `python -m falconws_cli.doctor.app_probe HOW FOLDER ROOT TARGET RESULT`.

The HOW "import" only imports the app; "examine" asks everything. The result is written to the file RESULT, as JSON.
Of an import: {"app": null or an error, "target": whether the target has to be corrected, "is_plain": whether the app is
one of Falcon's own classes}. Of an examination:
{"settings": their error, "" for none, null without settings; "app": null or an error, "routes": their number,
"websockets": the number that accept WebSockets, "origins": whether origins are restricted, "contract": what typed
routes declare, or null, "hubs": [[ok, detail], ...]}. Must not know how findings are shown.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def examine(root: Path, target: str) -> dict[str, Any]:
    """Import the app and return the result."""
    from falconws.server import StartError
    from falconws.server.importer import load_application
    from falconws_cli.errors import CommandError
    from falconws_cli.inspect.survey import survey

    found: dict[str, Any] = {"settings": _settings_problem(target.partition(":")[0].partition(".")[0]), "app": None}
    try:
        app = load_application(target)
        surveyed = survey(app, target, root)
    except (StartError, CommandError) as error:
        return {**found, "app": str(error)}
    except SystemExit as error:
        return {**found, "app": f"The import of the app called sys.exit({error.code})."}
    found["routes"] = len(surveyed.routes)
    found["websockets"] = sum(
        any(method.name == "WEBSOCKET" for method in route.resource.methods) for route in surveyed.routes
    )
    # Falcon's own App has no such option.
    found["origins"] = surveyed.ws_options.get("allowed_origins", "") is not None
    found["contract"] = _contract(app, root, target)
    found["hubs"] = asyncio.run(_hubs(app))
    return found


def only_import(target: str) -> dict[str, Any]:
    """Import the app and return whether that works."""
    from falconws.server import StartError
    from falconws.server.errors import TargetError
    from falconws.server.importer import load_application

    try:
        app = load_application(target)
    except StartError as error:
        return {"app": str(error), "target": isinstance(error, TargetError)}
    except SystemExit as error:
        return {"app": f"The import of the app called sys.exit({error.code})."}
    import falcon.asgi

    import falconws

    # Another ASGI app may have one of falconws in it.
    return {"app": None, "is_plain": isinstance(app, falcon.asgi.App) and not isinstance(app, falconws.App)}


def _settings_problem(package: str) -> str | None:
    """Return the error of the project's settings, "" for none; None when the project has no settings."""
    try:
        settings = importlib.import_module(f"{package}.settings").Settings
        from_env = settings.from_env
    except Exception:
        # The project has no such module, or it is broken; then the import of the app fails too.
        return None
    try:
        from_env()
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return ""


def _contract(app: Any, root: Path, target: str) -> dict[str, Any] | None:
    """Return what the typed routes declare, and what is wrong with it; None without such routes."""
    # An app with typed routes has imported this package.
    if "falconws.typed" not in sys.modules or not hasattr(app, "websocket_routes"):
        return None
    from falconws.typed.asyncapi import asyncapi, typed_routes

    conversations = {conversation.__name__: conversation for _, conversation in typed_routes(app)}
    if not conversations:
        return None
    try:
        document = asyncapi(app, title=target.partition(":")[0].partition(".")[0])
    except TypeError as error:
        return {"problem": str(error)}
    collisions = [
        [name, tag]
        for name, conversation in conversations.items()
        for tag in conversation.received.by_tag.keys() & conversation.sent.by_tag.keys()
        if conversation.received.by_tag[tag] is not conversation.sent.by_tag[tag]
    ]
    return {
        "conversations": len(conversations),
        "collisions": sorted(collisions),
        "undescribed": sorted(name for name, each in conversations.items() if not each.__doc__),
        "outdated": _is_outdated(root / "asyncapi.json", document),
    }


def _is_outdated(path: Path, document: dict[str, Any]) -> bool:
    """Return whether the project has a document that differs from the app's in anything but its servers."""
    try:
        committed = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return False
    except (OSError, ValueError):
        return True
    return not isinstance(committed, dict) or {**committed, "servers": None} != {**document, "servers": None}


async def _hubs(app: Any) -> list[tuple[bool, str]]:
    from falconws.app import middleware_of

    # An app with a hub has imported this module.
    module = sys.modules.get("falconws.hub.hub")
    found: list[tuple[bool, str]] = []
    if module is None:
        return found
    for hub in middleware_of(app):
        if isinstance(hub, module.Hub):
            try:
                async with hub:
                    health = await hub.health()
                found.append((health.ok, health.detail))
            except Exception as error:
                found.append((False, " ".join(str(error).split()) or type(error).__name__))
    return found


def main() -> None:
    """Check the app that the arguments name."""
    how, folder, root, target, result = sys.argv[1:]
    sys.path.insert(0, folder)
    found = only_import(target) if how == "import" else examine(Path(root), target)
    Path(result).write_text(json.dumps(found), encoding="utf-8")
    # Threads of the app must not keep the process alive.
    os._exit(0)


if __name__ == "__main__":
    main()
