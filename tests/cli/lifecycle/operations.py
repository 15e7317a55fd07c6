"""The operation files of a project, for tests that read and change them."""

import json
from pathlib import Path
from typing import Any


def operation_files(root: Path) -> list[Path]:
    """The files of all operations, oldest first."""
    return sorted((root / ".falconws" / "operations").glob("*.json"))


def operation_of(root: Path, name: str) -> tuple[Path, dict[str, Any]]:
    """The file of the operation that made the thing called *name*, and its content."""
    for file in operation_files(root):
        document: dict[str, Any] = json.loads(file.read_text())
        if document.get("recipe", {}).get("name") == name:
            return file, document
    raise AssertionError(name)
