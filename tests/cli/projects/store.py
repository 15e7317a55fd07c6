"""Stores the project that the installed falconws makes, for the tests of upgrades from its version.

Run it once for each release, when its templates have settled: `python tests/cli/projects/store.py 0.2.0`. A stored
project never changes afterwards. Each file's name gets a suffix, so that neither pytest nor ruff nor git take it for
the repository's own.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
SUFFIX = ".stored"
COMMANDS = [
    ["new", "demo"],
    ["add-resource", "chat room", "--route", "/rooms/{room_id}/chat", "--pattern", "duplex", "--subprotocol", "wamp"],
    ["add-resource", "ticker", "--pattern", "feed", "--no-http"],
    ["add-middleware", "auth", "--kind", "token-auth"],
    ["add-media-handler", "orders", "--payload", "binary", "--codec", "msgpack"],
]
"""What every release can do, each pattern of edits once: routes, middleware, fixtures, dependencies."""


def restore(version: str, target: Path) -> Path:
    """Put the project that falconws *version* made at *target*, and return that."""
    source = HERE / version
    for file in source.rglob(f"*{SUFFIX}"):
        path = target / file.relative_to(source).with_name(file.name.removesuffix(SUFFIX))
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(file.read_bytes())
    return target


def store(version: str) -> None:
    """Store what the installed falconws makes as that of *version*."""
    from falconws_cli import VERSION

    target = HERE / version
    if version != VERSION:
        sys.exit(f"The installed falconws is {VERSION}, and not {version}.")
    if target.exists():
        sys.exit(f"{target} is there already, and a stored project never changes.")
    with tempfile.TemporaryDirectory() as folder:
        for number, command in enumerate(COMMANDS):
            cwd = Path(folder, "demo") if number else Path(folder)
            subprocess.run([sys.executable, "-m", "falconws_cli", *command], cwd=cwd, check=True)
        root = Path(folder, "demo")
        for file in sorted(path for path in root.rglob("*") if path.is_file() and "__pycache__" not in path.parts):
            stored = target / file.relative_to(root).with_name(file.name + SUFFIX)
            stored.parent.mkdir(parents=True, exist_ok=True)
            stored.write_bytes(file.read_bytes())


if __name__ == "__main__":
    store(sys.argv[1])
