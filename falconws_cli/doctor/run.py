"""Runs all checks, shows their findings, and returns the exit code.

Must not know what a check looks at.
"""

import json
from collections.abc import Iterator
from pathlib import Path

import click

from falconws_cli.doctor.app_check import check_app
from falconws_cli.doctor.client_check import check_clients
from falconws_cli.doctor.finding import Finding, Level, worst_of
from falconws_cli.doctor.installation import check_installation
from falconws_cli.doctor.project_check import check_port, check_project
from falconws_cli.errors import CommandError, ExitCode
from falconws_cli.project import find_project

_COLORS = {Level.OK: "green", Level.WARNING: "yellow", Level.PROBLEM: "red"}
_LEVEL_WIDTH = max(len(level.value) for level in Level)
_TOPIC_WIDTH = len("generated files")


def examine(start: Path, *, host: str, port: int, strict: bool, as_json: bool) -> ExitCode:
    """Show each finding as soon as it is known. Return FAILURE for a problem and, if *strict*, for a warning."""
    findings = []
    for finding in _all(start, host, port):
        findings.append(finding)
        if not as_json:
            level = click.style(finding.level.value.ljust(_LEVEL_WIDTH), fg=_COLORS[finding.level])
            click.echo(f"{level}  {finding.topic.ljust(_TOPIC_WIDTH)}  {finding}")
    worst = worst_of(findings)
    if as_json:
        checks = [{"topic": f.topic, "level": f.level.value, "detail": f.detail, "remedy": f.remedy} for f in findings]
        click.echo(json.dumps({"worst": worst.value, "checks": checks}, indent=2))
    else:
        click.echo(f"\n{_summary(findings)}")
    fails = worst is Level.PROBLEM or (strict and worst is Level.WARNING)
    return ExitCode.FAILURE if fails else ExitCode.OK


def _all(start: Path, host: str, port: int) -> Iterator[Finding]:
    yield from check_installation()
    yield check_port(host, port)
    try:
        project = find_project(start)
    except CommandError as error:
        yield Finding("project", Level.PROBLEM, error.message.rstrip("."), "correct pyproject.toml")
        return
    if project is None:
        yield Finding("project", Level.OK, "this folder is not in a project, so only the installation was checked")
        return
    yield from check_project(project)
    yield from check_app(project)
    yield from check_clients(project)


def _summary(findings: list[Finding]) -> str:
    counted = []
    for level in (Level.PROBLEM, Level.WARNING):
        count = sum(finding.level is level for finding in findings)
        if count:
            counted.append(f"{count} {level.value}{'' if count == 1 else 's'}")
    return f"{' and '.join(counted)}." if counted else "No problems found."
