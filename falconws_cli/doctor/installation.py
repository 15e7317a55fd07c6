"""Checks of what is installed, whatever project there is."""

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
    """Yield what is found of Python, the packages that serve, and the engine."""
    yield Finding("python", Level.OK, f"{platform.python_version()} ({sys.executable})")
    wanted = {requirement.name: requirement for requirement in parse_requirements(requires("falconws") or ())}
    for name in _SHOWN:
        yield _check_package(name, wanted.get(name))
    yield _check_engine()


def parse_requirements(lines: Iterable[str]) -> list[Requirement]:
    """Return the requirements that hold on this machine; what is none is left out."""
    found = []
    for line in lines:
        try:
            requirement = Requirement(line)
        except InvalidRequirement:
            continue
        # Of extras, none is asked for.
        if requirement.marker is None or requirement.marker.evaluate({"extra": ""}):
            found.append(requirement)
    return found


def lack_of(requirement: Requirement) -> str:
    """Return what is wrong with the package that is installed for *requirement*; "" when nothing is."""
    try:
        installed = version(requirement.name)
    except PackageNotFoundError:
        return f"{requirement.name} is not installed"
    if not requirement.specifier.contains(installed, prereleases=True):
        return f"{requirement.name} is {installed}, and {requirement.name}{requirement.specifier} is required"
    return ""


def _check_package(name: str, requirement: Requirement | None) -> Finding:
    lack = lack_of(requirement) if requirement is not None else ""
    if lack:
        # In quotes, for the shell's sake.
        return Finding(name, Level.PROBLEM, lack, f'pip install "{requirement}"')
    return Finding(name, Level.OK, version(name))


def _check_engine() -> Finding:
    try:
        engine = choose_engine("auto")
    except StartError as error:
        return Finding("engine", Level.PROBLEM, str(error).rstrip("."), "install falconws again")
    if engine.fast:
        return Finding("engine", Level.OK, f"{engine.title}, the fast one")
    return Finding(
        "engine",
        Level.WARNING,
        f"{engine.title}, as {engine.notice}",
        "pip install picows, where it has a wheel; uvicorn's own engine serves meanwhile",
    )
