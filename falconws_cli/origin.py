"""Where the installed falconws came from, for projects and users that cannot get it from a package index.

Must not write.
"""

import json
import os
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import url2pathname


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
        recorded = json.loads(distribution("falconws").read_text("direct_url.json") or "{}")
    except (PackageNotFoundError, ValueError):
        return {}
    return recorded if isinstance(recorded, dict) else {}


def _origin(recorded: dict[str, Any]) -> tuple[Path | None, str]:
    """Return the path of the origin, or None and its URL; the URL is empty for a package index."""
    url = str(recorded.get("url", ""))
    version_control = _table(recorded, "vcs_info")
    if version_control:
        return None, f"{version_control['vcs']}+{url}@{version_control['commit_id']}"
    parts = urlsplit(url)
    return (Path(url2pathname(parts.path)), "") if parts.scheme == "file" else (None, url)


def _table(recorded: dict[str, Any], name: str) -> dict[str, Any]:
    value = recorded.get(name)
    return value if isinstance(value, dict) else {}
