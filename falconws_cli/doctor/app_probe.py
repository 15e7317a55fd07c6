"""The process that imports the app: `python -m falconws_cli.doctor.app_probe FOLDER ROOT TARGET RESULT`.

It writes what it found to the file RESULT, as JSON: {"settings": null where there are none, or what they complain
about, "app": null or a line, "routes": how many, "websockets": how many of them, "origins": whether they are
restricted, "hubs": [[ok, detail], ...]}. Whatever the app does to this process, the doctor lives on.
"""

import asyncio
import importlib
import json
import os
import sys
from pathlib import Path
from typing import Any


def examine(root: Path, target: str) -> dict[str, Any]:
    """Return what is found of the app."""
    from falconws.server import StartError
    from falconws.server.importer import load_application
    from falconws_cli.errors import CommandError
    from falconws_cli.inspect.survey import survey

    found: dict[str, Any] = {"settings": _settings_problem(target.partition(":")[0].partition(".")[0]), "app": None}
    try:
        app = load_application(target)
        looked_into = survey(app, target, root)
    except (StartError, CommandError) as error:
        return {**found, "app": str(error)}
    except SystemExit as error:
        return {**found, "app": f"The app ended the process while it was imported ({error.code})."}
    found["routes"] = len(looked_into.routes)
    found["websockets"] = sum(
        any(method.name == "WEBSOCKET" for method in route.resource.methods) for route in looked_into.routes
    )
    # Falcon's own app has no such option.
    found["origins"] = looked_into.ws_options.get("allowed_origins", "") is not None
    found["hubs"] = asyncio.run(_hubs(app))
    return found


def _settings_problem(package: str) -> str | None:
    """Return what the project's settings complain about, "" for nothing; None where there are no settings."""
    try:
        settings = importlib.import_module(f"{package}.settings").Settings
        from_env = settings.from_env
    except Exception:
        # Not a module of ours; if it is broken, the import of the app says so.
        return None
    try:
        from_env()
    except Exception as error:
        return " ".join(str(error).split()) or type(error).__name__
    return ""


async def _hubs(app: Any) -> list[tuple[bool, str]]:
    from falconws.app import middleware_of

    # Nobody has a hub who has not imported it.
    module = sys.modules.get("falconws.hub.hub")
    found = []
    for hub in middleware_of(app) if module else ():
        if isinstance(hub, module.Hub):  # type: ignore[union-attr]
            try:
                async with hub:
                    health = await hub.health()
                found.append((health.ok, health.detail))
            except Exception as error:
                found.append((False, " ".join(str(error).split()) or type(error).__name__))
    return found


def main() -> None:
    """Examine the app that the arguments name."""
    folder, root, target, result = sys.argv[1:]
    sys.path.insert(0, folder)
    found = examine(Path(root), target)
    Path(result).write_text(json.dumps(found), encoding="utf-8")
    # Threads of the app's must not keep the process.
    os._exit(0)


if __name__ == "__main__":
    main()
