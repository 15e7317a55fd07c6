"""The packages of the peers, installed once into a separate environment outside of the checkout."""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

_HERE = Path(__file__).parent
ROOT = _HERE.parents[1]
_INSTALL_S = 600.0


@dataclass
class Peers:
    """The paths and versions of the installed peers."""

    python: Path
    node: str
    node_folder: Path
    versions: dict[str, str] = field(default_factory=dict)
    """The version of every installed package. A contender whose package is missing is left out."""
    problems: dict[str, str] = field(default_factory=dict)
    """The reason why a package could not be installed, by package."""

    @property
    def bun(self) -> Path:
        """Return the path of the Bun executable, which is part of the npm package."""
        return self.node_folder / "node_modules" / ".bin" / "bun"


def default_folder() -> Path:
    """Return a folder whose name depends on the packages to install."""
    wanted = (_HERE / "requirements-peers.txt").read_bytes() + (_HERE / "node" / "package.json").read_bytes()
    name = f"{sys.version_info.major}.{sys.version_info.minor}-{hashlib.sha256(wanted).hexdigest()[:12]}"
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return cache / "falconws-benchmarks" / name


def install(folder: Path) -> Peers:
    """Install the missing peers into *folder*, and return all peers."""
    peers = Peers(folder / "venv" / "bin" / "python", shutil.which("node") or "", folder / "node")
    if not peers.python.exists():
        subprocess.run([sys.executable, "-m", "venv", str(folder / "venv")], check=True, timeout=_INSTALL_S)
    marker = folder / "installed"
    if not marker.exists():
        for requirement in _requirements():
            # One by one, so that a package without a wheel for this machine only affects one contender.
            problem = _run([str(peers.python), "-m", "pip", "install", "--quiet", requirement])
            if problem:
                peers.problems[requirement.partition("==")[0]] = problem
        if not peers.problems:
            marker.touch()
    peers.versions = _python_versions(peers.python)
    peers.versions["falconws"] = _own_version()
    _install_node(peers)
    return peers


def _install_node(peers: Peers) -> None:
    if not peers.node or not shutil.which("npm"):
        peers.problems["ws"] = peers.problems["bun"] = "Node.js and npm are not installed"
        return
    peers.node_folder.mkdir(parents=True, exist_ok=True)
    for name in ("package.json", "serve_bun.js", "serve_ws.js"):
        shutil.copyfile(_HERE / "node" / name, peers.node_folder / name)
    packages = ("bun", "ws")
    if not all(_node_manifest(peers, name).exists() for name in packages):
        problem = _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], cwd=peers.node_folder)
        if problem:
            peers.problems.update(dict.fromkeys(packages, problem))
            return
    for name in packages:
        peers.versions[name] = json.loads(_node_manifest(peers, name).read_text())["version"]
    peers.versions["node"] = _output([peers.node, "--version"]).removeprefix("v")


def _node_manifest(peers: Peers, package: str) -> Path:
    return peers.node_folder / "node_modules" / package / "package.json"


def _requirements() -> list[str]:
    lines = (_HERE / "requirements-peers.txt").read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def _python_versions(python: Path) -> dict[str, str]:
    script = (
        "import json; from importlib.metadata import distributions; "
        "print(json.dumps({found.name.lower(): found.version for found in distributions()}))"
    )
    versions: dict[str, str] = json.loads(_output([str(python), "-c", script]))
    return versions


def _own_version() -> str:
    import falconws

    try:
        commit = _output(["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"])
        changed = _output(["git", "-C", str(ROOT), "status", "--porcelain", "--", "runtime"])
    except (OSError, subprocess.CalledProcessError):
        return falconws.__version__
    return f"{falconws.__version__} ({commit}{', modified' if changed else ''})"


def _output(command: list[str]) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=60).stdout.strip()


def _run(command: list[str], cwd: Path | None = None) -> str | None:
    """Run a command. Return None, or the last line of its output if it failed."""
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False, timeout=_INSTALL_S)
    if done.returncode == 0:
        return None
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"{command[0]} exited with code {done.returncode}"
