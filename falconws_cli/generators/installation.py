"""Where the installed falconws came from, for projects that cannot get it from a package index. Must not write."""

import json
import os
import shlex
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import url2pathname


def find_source(root: Path) -> str:
    """Return what `pip install` gets falconws from: a path relative to *root*, or a URL; empty for a package index.

    Source: PEP 610, direct_url.json.
    """
    try:
        recorded = json.loads(distribution("falconws").read_text("direct_url.json") or "{}")
        url = str(recorded.get("url", ""))
    except (PackageNotFoundError, ValueError, AttributeError):
        return ""
    version_control = recorded.get("vcs_info")
    if version_control:
        return f"{version_control['vcs']}+{url}@{version_control['commit_id']}"
    parts = urlsplit(url)
    if parts.scheme != "file":
        return url
    path = Path(url2pathname(parts.path))
    try:
        relative = Path(os.path.relpath(path, root.resolve())).as_posix()
    except ValueError:
        # On Windows, the source may be on another drive.
        return path.as_posix()
    # pip takes a path without a slash for the name of a package.
    return relative if "/" in relative or relative.startswith(".") else f"./{relative}"


def install_command(source: str) -> str:
    """Return the command that installs a project for development, with falconws from *source*."""
    return f'pip install {shlex.quote(source)} -e ".[dev]"' if source else 'pip install -e ".[dev]"'
