"""Where the installed falconws came from, for projects and users that cannot get it from a package index.

Must not write.
"""

import json
import os
import shlex
import sys
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit


def find_source(root: Path) -> str:
    """Return what `pip install` gets falconws from: a path relative to *root*, or a URL; empty for a package index."""
    path, url = _origin(_recorded())
    if path is None:
        return url
    try:
        relative = Path(os.path.relpath(path, root.resolve())).as_posix()
    except ValueError:
        # Another drive of Windows.
        return path.as_posix()
    # pip takes a word without a slash for a name.
    return relative if "/" in relative or relative.startswith(".") else f"./{relative}"


def install_command(source: str) -> str:
    """Return the command that installs a project for development, with falconws from *source*."""
    return f'pip install {shlex.quote(source)} -e ".[dev]"' if source else 'pip install -e ".[dev]"'


def extra_command(extra: str) -> str:
    """Return the command that adds an extra to the installed falconws, from where that came from."""
    recorded = _recorded()
    path, url = _origin(recorded)
    if path is None:
        return f'pip install "falconws[{extra}]{f" @ {url}" if url else ""}"'
    editable = "-e " if _table(recorded, "dir_info").get("editable") else ""
    return f'pip install {editable}"{path.as_posix()}[{extra}]"'


def _recorded() -> dict[str, Any]:
    """Return what the installer has recorded of the origin; empty for a package index.

    Source: PEP 610, direct_url.json.
    """
    try:
        recorded = json.loads(_read_direct_url() or "{}")
    except ValueError:
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _read_direct_url() -> str | None:
    """Return the text of the installed falconws' direct_url.json; None if there is none.

    Not by importlib.metadata, the import of which is a tenth of the time of `falconws new`.
    """
    for folder in sys.path:
        for record in Path(folder).glob("falconws-*.dist-info"):
            try:
                return (record / "direct_url.json").read_text(encoding="utf-8")
            except OSError:
                return None
    return None


def _origin(recorded: dict[str, Any]) -> tuple[Path | None, str]:
    """Return the path of the origin, or None and its URL; the URL is empty for a package index."""
    url = str(recorded.get("url", ""))
    version_control = _table(recorded, "vcs_info")
    if version_control:
        return None, f"{version_control['vcs']}+{url}@{version_control['commit_id']}"
    parts = urlsplit(url)
    return (_path_of(parts.path), "") if parts.scheme == "file" else (None, url)


def _path_of(path: str) -> Path:
    """Return the path in a file: URL."""
    if os.name != "nt":
        return Path(unquote(path))
    # Its import takes as long as half of `falconws new`.
    from urllib.request import url2pathname

    return Path(url2pathname(path))


def _table(recorded: dict[str, Any], name: str) -> dict[str, Any]:
    value = recorded.get(name)
    return value if isinstance(value, dict) else {}
