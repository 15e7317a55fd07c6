"""Checks of the port, and of the project's files and dependencies. Must not import the app."""

import tomllib
from collections.abc import Iterator
from typing import Any

from falconws.server import StartError
from falconws.server.sockets import bind_tcp
from falconws_cli.change.record import read_record
from falconws_cli.doctor.finding import Finding, Level
from falconws_cli.doctor.installation import parse_requirements, unmet
from falconws_cli.errors import CommandError
from falconws_cli.extras import GENERATORS, has_modules
from falconws_cli.lifecycle.status import FileState, generated_files
from falconws_cli.origin import extra_command
from falconws_cli.processes import listening_pids, name_of
from falconws_cli.project import Project

_SHOWN = 5
_INSTALL = 'pip install -e ".[dev]"'


def check_port(host: str, port: int) -> Finding:
    """Check whether a server can listen on the port."""
    where = f"{host}:{port}"
    try:
        bind_tcp(host, port).close()
    except StartError as error:
        pids = listening_pids(port)
        if not pids:
            return Finding("port", Level.PROBLEM, str(error).rstrip("."), "serve with another --port or --host")
        names = ", ".join(f"{name_of(pid)} (pid {pid})" for pid in pids)
        return Finding(
            "port",
            Level.WARNING,
            f"{where} is taken by {names}",
            "stop that process, unless it is this app, or use --port",
        )
    return Finding("port", Level.OK, f"{where} is free")


def check_project(project: Project) -> Iterator[Finding]:
    """Yield the findings about the project's files and dependencies."""
    if not (project.root / project.package_path).is_dir() and not project.exists(
        project.package_path.with_suffix(".py")
    ):
        yield Finding(
            "project",
            Level.PROBLEM,
            f'pyproject.toml says that the app is "{project.app}", but there is no {project.package}',
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
        return Finding(topic, Level.OK, "none are recorded")
    if not has_modules(*GENERATORS):
        return Finding(topic, Level.OK, f"not compared, which needs `{extra_command('cli')}`")
    if record.damaged:
        return Finding(topic, Level.PROBLEM, record.damaged[0].rstrip("."), "see `falconws status`")
    files = generated_files(record)
    conflicted = [str(file.path) for file in files if file.state is FileState.CONFLICT]
    if conflicted:
        what = f"{_listed(conflicted)} {'has' if len(conflicted) == 1 else 'have'} conflict markers"
        return Finding(topic, Level.PROBLEM, what, "resolve the conflicts")
    missing = [str(file.path) for file in files if file.state is FileState.MISSING]
    if missing:
        return Finding(
            topic,
            Level.WARNING,
            f"{_listed(missing)} {'is' if len(missing) == 1 else 'are'} missing",
            "run `falconws moved OLD NEW` if you have moved it, or `falconws forget PATH` if you have deleted it",
        )
    edited = sum(file.state is FileState.EDITED for file in files)
    return Finding(topic, Level.OK, f"{len(files)}, {edited} of them edited")


def _check_dependencies(project: Project) -> Finding:
    topic = "dependencies"
    table = _project_table(project)
    lacking = [reason for reason in map(unmet, parse_requirements(_strings(table.get("dependencies")))) if reason]
    if lacking:
        return Finding(topic, Level.PROBLEM, "; ".join(lacking), _INSTALL)
    extras = table.get("optional-dependencies")
    dev = _strings(extras.get("dev")) if isinstance(extras, dict) else []
    lacking = [reason for reason in map(unmet, parse_requirements(dev)) if reason]
    if lacking:
        return Finding(topic, Level.WARNING, f"for development, {'; '.join(lacking)}", _INSTALL)
    return Finding(topic, Level.OK, "installed")


def _project_table(project: Project) -> dict[str, Any]:
    # It is valid TOML: the project was found in it.
    document = tomllib.loads((project.root / "pyproject.toml").read_text(encoding="utf-8"))
    table = document.get("project")
    return table if isinstance(table, dict) else {}


def _strings(value: object) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _listed(names: list[str]) -> str:
    more = len(names) - _SHOWN
    return f"{', '.join(names[:_SHOWN])} and {more} more" if more > 0 else ", ".join(names)
