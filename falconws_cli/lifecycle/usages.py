"""Finds what the project's code still uses of the code that will be removed. Reads files and never writes."""

import ast
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from falconws_cli.change.plan import NOTHING, Requirements

_SKIPPED = frozenset({"__pycache__", "node_modules", "build", "dist", "venv", "env", "site-packages"})
_IMPORT = re.compile(r"^[ \t]*(?:import|from)[ \t]+([^#\r\n]*)", re.MULTILINE)


def still_used(
    root: Path,
    added: Requirements,
    modules: Collection[str],
    others: Iterable[Requirements],
    going: Collection[Path],
) -> Requirements:
    """Return those of *added* that must stay.

    Args:
        root: The project.
        added: The requirements that falconws has added to pyproject.toml.
        modules: The modules of the dependencies among them.
        others: The requirements of other generated code, which stays.
        going: Files that will be deleted; their imports do not count.
    """
    if _is_imported(root, modules, going):
        return added
    shared = list(others)
    kept = {
        name: tuple(value for value in values if any(value in getattr(other, name) for other in shared))
        for name, values in vars(added).items()
    }
    return Requirements(**kept) if any(kept.values()) else NOTHING


@dataclass(frozen=True)
class ImportLine:
    """A line that imports a module."""

    path: Path
    number: int
    module: str


def importers(
    root: Path,
    gone: Collection[PurePosixPath],
    changed: Mapping[Path, bytes | None],
    folders: Mapping[str, PurePosixPath],
) -> list[ImportLine]:
    """Return the lines of the project that import one of the modules in *gone*.

    Args:
        root: The project.
        gone: The files of the modules.
        changed: The new content of files, None for deleted ones.
        folders: Where the project has its packages; see `package_folders`.
    """
    modules = {module_of(path, folders) for path in gone if path.suffix == ".py"}
    leaves = [module.rpartition(".")[2] for module in modules]
    found = []
    for path in project_files(root, (".py", ".pyi")):
        try:
            data = changed.get(path, b"") if path in changed else path.read_bytes()
            if data is None or not any(leaf.encode() in data for leaf in leaves):
                continue
            tree = ast.parse(data)
        except (OSError, SyntaxError, ValueError):
            continue
        here = module_of(PurePosixPath(path.relative_to(root).as_posix()), folders, keep_init=True)
        for node in ast.walk(tree):
            for name in _imported(node, here):
                if name in modules:
                    assert isinstance(node, (ast.Import, ast.ImportFrom))
                    found.append(ImportLine(path, node.lineno, name))
    return sorted(set(found), key=lambda line: (line.path, line.number, line.module))


def _imported(node: ast.AST, here: str) -> Iterator[str]:
    """Yield each module that an import statement in the module *here* may import."""
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parent = here.split(".")[: -node.level] if node.level else []
        module = ".".join([*parent, *([node.module] if node.module else [])])
        yield module
        yield from (f"{module}.{alias.name}" for alias in node.names)


def module_of(
    path: PurePosixPath, folders: Mapping[str, PurePosixPath] | None = None, *, keep_init: bool = False
) -> str:
    """Return the import name of the module at *path*, or of the package in that folder.

    Args:
        path: The path, relative to the root.
        folders: Where the project has its packages, if not in the root or in src/; see `package_folders`.
        keep_init: Whether the name of an `__init__.py` ends with "__init__".
    """
    parts = path.with_suffix("").parts
    for package, folder in sorted((folders or {}).items(), key=lambda item: -len(item[1].parts)):
        if parts[: len(folder.parts)] == folder.parts:
            parts = (*filter(None, package.split(".")), *parts[len(folder.parts) :])
            break
    else:
        parts = parts[1:] if parts[0] == "src" and len(parts) > 1 else parts
    return ".".join(parts[:-1] if parts and parts[-1] == "__init__" and not keep_init else parts)


def _is_imported(root: Path, modules: Collection[str], going: Collection[Path]) -> bool:
    if not modules:
        return False
    wanted = re.compile(rf"(?:^|,\s*)(?:{'|'.join(re.escape(module) for module in modules)})(?=[\s.,]|$)")
    for path in project_files(root, (".py", ".pyi")):
        if path in going:
            continue
        try:
            text = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            # A file that cannot be read might import it.
            return True
        if any(wanted.search(match[1].strip()) for match in _IMPORT.finditer(text)):
            return True
    return False


def project_files(root: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Yield the project's files with one of *suffixes*, except those of environments, builds and caches."""
    for folder, folders, names in os.walk(root):
        folders[:] = [
            name
            for name in folders
            if name not in _SKIPPED and not name.startswith(".") and not Path(folder, name, "pyvenv.cfg").exists()
        ]
        yield from (path for name in names if (path := Path(folder, name)).suffix in suffixes and not path.is_symlink())
