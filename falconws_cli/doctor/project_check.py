"""Checks of what is around the app: the port, and the project's files and dependencies. Imports nothing of the app."""

import tomllib
from collections.abc import Iterator
from typing import Any

from falconws.server import StartError
from falconws.server.sockets import bind_tcp
from falconws_cli.change.record import read_record
from falconws_cli.doctor.finding import Finding, Level
from falconws_cli.doctor.installation import lack_of, parse_requirements
from falconws_cli.errors import CommandError
from falconws_cli.lifecycle.status import FileState, generated_files
from falconws_cli.processes import listening_pids, name_of
from falconws_cli.project import Project

_SHOWN = 5
_INSTALL = 'pip install -e ".[dev]"'


def check_port(host: str, port: int) -> Finding:
    """Return whether a server could listen there."""
    where = f"{host}:{port}"
    try:
        bind_tcp(host, port).close()
    except StartError as error:
        pids = listening_pids(port)
        if not pids:
            return Finding("port", Level.PROBLEM, str(error).rstrip("."), "serve with another --port or --host")
        names = ", ".join(f"{name_of(pid)} (pid {pid})" for pid in pids)
        return Finding(
            "port", Level.WARNING, f"{where} is taken by {names}", "stop it, unless it is this app, or use --port"
        )
    return Finding("port", Level.OK, f"{where} is free")


def check_project(project: Project) -> Iterator[Finding]:
    """Yield what is found of the project's files and dependencies."""
    if not (project.root / project.package_path).is_dir() and not project.exists(
        project.package_path.with_suffix(".py")
    ):
        yield Finding(
            "project",
            Level.PROBLEM,
            f'pyproject.toml says that the app is "{project.app}", and there is no {project.package}',
            "correct [tool.falconws]",
        )
    else:
        yield Finding("project", Level.OK, str(project.root))
    yield _check_generated(project)
    yield _check_dependencies(project)


def _check_generated(project: Project) -> Finding:
    topic = "generated files"
    try:
        record = read_record(project.root)
    except CommandError as error:
        return Finding(topic, Level.PROBLEM, error.message.rstrip("."), "see `falconws status`")
    if not record.exists:
        return Finding(topic, Level.OK, "none are remembered")
    files = generated_files(record)
    unsettled = [str(file.path) for file in files if file.state is FileState.CONFLICT]
    if unsettled:
        what = f"{_listed(unsettled)} {'has' if len(unsettled) == 1 else 'have'} conflict markers of a merge"
        return Finding(topic, Level.PROBLEM, what, "choose, and delete the markers")
    missing = [str(file.path) for file in files if file.state is FileState.MISSING]
    if missing:
        return Finding(
            topic,
            Level.WARNING,
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            "bring it back from your repository, or `falconws destroy` what it belongs to",
        )
    edited = sum(file.state is FileState.EDITED for file in files)
    return Finding(topic, Level.OK, f"{len(files)}, of which {edited} are edited")


def _check_dependencies(project: Project) -> Finding:
    topic = "dependencies"
    table = _project_table(project)
    lacking = [lack for lack in map(lack_of, parse_requirements(_strings(table.get("dependencies")))) if lack]
    if lacking:
        return Finding(topic, Level.PROBLEM, "; ".join(lacking), _INSTALL)
    extras = table.get("optional-dependencies")
    dev = _strings(extras.get("dev")) if isinstance(extras, dict) else []
    lacking = [lack for lack in map(lack_of, parse_requirements(dev)) if lack]
    if lacking:
        return Finding(topic, Level.WARNING, f"for development, {'; '.join(lacking)}", _INSTALL)
    return Finding(topic, Level.OK, "installed")


def _project_table(project: Project) -> dict[str, Any]:
    # That it is TOML is known, or there would be no project.
    document = tomllib.loads((project.root / "pyproject.toml").read_text(encoding="utf-8"))
    table = document.get("project")
    return table if isinstance(table, dict) else {}


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])} and {more} more" if more > 0 else ", ".join(names)
