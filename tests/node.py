"""npm packages for tests that need Node.js: installed once, outside the checkout, as ``tests/package.json`` says."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

_MANIFEST = Path(__file__).parent / "package.json"
_INSTALL_S = 600.0

COMPILER_OPTIONS = {
    "noEmit": True,
    "strict": True,
    "target": "es2022",
    "module": "esnext",
    "moduleResolution": "bundler",
    "lib": ["es2022", "dom", "dom.iterable"],
    "types": [],
    "jsx": "react-jsx",
    "exactOptionalPropertyTypes": True,
    "noUncheckedIndexedAccess": True,
    "skipLibCheck": True,
}
"""The options of a strict project in TypeScript."""


def node_packages(*names: str) -> Path:
    """Return the folder whose ``node_modules`` has the packages; skip the test where there is no Node.js."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        pytest.skip("Node.js and npm are not installed")
    text = _MANIFEST.read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "falconws-tests" / hashlib.sha256(text).hexdigest()[:12]
    if not (folder / "installed").exists():
        _install(folder, text)
    missing = [name for name in names if not (folder / "node_modules" / name).is_dir()]
    assert not missing, f"tests/package.json does not have {missing}"
    return folder


def _install(folder: Path, manifest: bytes) -> None:
    """Install beside the place, and move: other test processes may be at it as well."""
    ours = folder.with_name(f"{folder.name}.{os.getpid()}")
    ours.mkdir(parents=True)
    (ours / "package.json").write_bytes(manifest)
    command = ["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"]
    done = subprocess.run(command, cwd=ours, capture_output=True, text=True, timeout=_INSTALL_S, check=False)
    assert done.returncode == 0, done.stderr
    (ours / "installed").touch()
    try:
        ours.rename(folder)
    except OSError:
        # Another process was faster.
        shutil.rmtree(ours)
