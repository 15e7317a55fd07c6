"""Checks of the installed packages. Must not know the project."""

import platform
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import InvalidRequirement, Requirement

from falconws.server import StartError
from falconws.server.engine import choose_engine
from falconws_cli.doctor.finding import Finding, Level

_SHOWN = ("falcon", "uvicorn")


def check_installation() -> Iterator[Finding]:
    """Yield the findings about Python, the packages that serve the app, and the WebSocket engine."""
    yield Finding("python", Level.OK, f"{platform.python_version()} ({sys.executable})")
    wanted = {requirement.name: requirement for requirement in parse_requirements(requires("falconws") or ())}
    for name in _SHOWN:
        yield _check_package(name, wanted.get(name))
    yield _check_engine()


def parse_requirements(lines: Iterable[str], extra: str = "") -> list[Requirement]:
    """Parse requirements; leave out those that are invalid, or do not apply to this machine or without *extra*."""
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        if requirement.marker is None or requirement.marker.evaluate({"extra": extra}):
            found.append(requirement)
    return found


def unmet(requirement: Requirement) -> str:
    """Return why *requirement* is not met by the installed package; "" when it is."""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(installed, prereleases=True):
        return f"{requirement.name} is {installed}, and {requirement.name}{requirement.specifier} is required"
    for extra in sorted(requirement.extras):
        lacking = [one for one in parse_requirements(requires(requirement.name) or (), extra) if unmet(one)]
        if lacking:
            return f"{requirement.name}[{extra}] lacks {', '.join(one.name for one in lacking)}"
    return ""


def _check_package(name: str, requirement: Requirement | None) -> Finding:
    reason = unmet(requirement) if requirement is not None else ""
    if reason:
        # Quoted for the shell.
        return Finding(name, Level.PROBLEM, reason, f'pip install "{requirement}"')
    return Finding(name, Level.OK, version(name))


def _check_engine() -> Finding:
    try:
        engine = choose_engine("auto")
    except StartError as error:
        return Finding("engine", Level.PROBLEM, str(error).rstrip("."), "reinstall falconws")
    if engine.fast:
        return Finding("engine", Level.OK, f"{engine.title}, the fast engine")
    return Finding(
        "engine",
        Level.WARNING,
        f"{engine.title}, as {engine.notice}",
        "run `pip install picows` if it has a wheel for this platform; until then, uvicorn's own engine is used",
    )
