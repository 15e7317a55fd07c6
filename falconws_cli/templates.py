"""The template trees on disk, as text by path. Knows where they are; knows nothing of what they mean."""

from pathlib import Path

from falconws_cli.errors import CommandError

_HERE = Path(__file__).resolve().parent


def load_tree(*parts: str) -> dict[str, str]:
    """Return the tree at templates/`parts`, with the partials that every tree may include.

    Raises:
        CommandError: The installation lacks its templates.
    """
    root = find_root()
    tree = _read(root.joinpath(*parts))
    partials = root / "partials"
    return {**tree, **{f"partials/{path}": text for path, text in _read(partials).items()}}


def find_root() -> Path:
    """Return the folder of all template trees: beside the package in a wheel, one up in a checkout."""
    for folder in (_HERE / "templates", _HERE.parent / "templates"):
        if (folder / "project").is_dir():
            return folder
    raise CommandError("The installation of falconws lacks its templates; install falconws again.")


def _read(folder: Path) -> dict[str, str]:
    return {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
