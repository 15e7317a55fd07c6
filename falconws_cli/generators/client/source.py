"""Where the description of a client's conversations comes from: the app, or a file with its AsyncAPI document.

Must not import the app, nor know the language of the client.
"""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from falconws_cli.errors import UnavailableError
from falconws_cli.generators.client.document import ContractDocument, UnknownDocumentError, read_document
from falconws_cli.project import is_app_path

_LOAD_S = 60.0


def load_contract(root: Path, app: str, file: str) -> ContractDocument:
    """Return the conversations of a client.

    Args:
        root: The folder that *file* and the app are relative to.
        app: "module:attribute"; empty for the app of the project.
        file: The file with the document; empty to ask the app.

    Raises:
        UnavailableError: The file cannot be read, or the app does not load or has no typed route.
    """
    what, text = (file, _read(root / file, file)) if file else (app or "The app", _ask(root, app))
    try:
        return read_document(json.loads(text))
    except UnknownDocumentError as error:
        raise UnavailableError(f"{what}: {error}.") from error
    except ValueError as error:
        raise UnavailableError(f"{what} is not JSON: {error}.") from error


def _read(path: Path, name: str) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        why = (getattr(error, "strerror", None) or str(error)).lower()
        raise UnavailableError(f"Cannot read {name}: {why}.") from error


def _ask(root: Path, app: str) -> str:
    """Return the document of the app, which is imported by a process of its own: it may have changed since."""
    # What a record says is input.
    if app and not is_app_path(app):
        raise UnavailableError(f'"{app}" is not of the form "module:attribute".')
    command = [sys.executable, "-m", "falconws_cli", "asyncapi", *([app] if app else [])]
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=_LOAD_S, check=False)
    except subprocess.TimeoutExpired as error:
        raise UnavailableError(f"The import of the app has not finished within {_LOAD_S:g} s.") from error
    if done.returncode:
        last = done.stderr.strip().rpartition("\n")[2].removeprefix("Error: ")
        raise UnavailableError(last or f"The import of the app ended the process with exit code {done.returncode}.")
    return done.stdout
