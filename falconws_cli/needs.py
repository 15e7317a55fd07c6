"""Whether a dependency that a generator added may go again. Reads the project's Python files, and never writes."""

import os
import re
from collections.abc import Collection, Iterable, Iterator
from pathlib import Path

from falconws_cli.plan import NOTHING, Requirements

_SKIPPED = frozenset({"__pycache__", "node_modules", "build", "dist", "venv", "env", "site-packages"})
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([^#\r\n]*)", re.MULTILINE)


def still_needed(
    root: Path,
    added: Requirements,
    modules: Collection[str],
    others: Iterable[Requirements],
    going: Collection[Path],
) -> Requirements:
    """Return those of *added* that have to stay.

    Args:
        root: The project.
        added: What falconws has added to pyproject.toml.
        modules: What the dependencies among them are imported as.
        others: What else was generated, and is going to stay, needs.
        going: Files that are going to be deleted, whose imports no longer count.
    """
    if _is_imported(root, modules, going):
        return added
    shared = list(others)
    kept = {
        name: tuple(value for value in values if any(value in getattr(other, name) for other in shared))
        for name, values in vars(added).items()
    }
    return Requirements(**kept) if any(kept.values()) else NOTHING


def _is_imported(root: Path, modules: Collection[str], going: Collection[Path]) -> bool:
    if not modules:
        return False
    wanted = re.compile(rf"(?:^|,\s*)(?:{'|'.join(re.escape(module) for module in modules)})(?=[\s.,]|$)")
    for path in _python_files(root):
        if path in going:
            continue
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            # What cannot be read might import it.
            return True
        if any(wanted.search(match[1].strip()) for match in _IMPORT.finditer(text)):
            return True
    return False


def _python_files(root: Path) -> Iterator[Path]:
    for folder, folders, names in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in _SKIPPED and not name.startswith(".") and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        yield from (Path(folder, name) for name in names if name.endswith((".py", ".pyi")))
