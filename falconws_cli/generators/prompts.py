"""Asks on a terminal for the options of `falconws new`. Must not write."""

import sys
from dataclasses import replace

import click

from falconws_cli.errors import RefusedError
from falconws_cli.generators.parts import BROKERS, WHAT, Part, ProjectOptions, parse_parts
from falconws_cli.names import parse_name, refuse_as_package


def ask_for_options(name: str | None, typed: ProjectOptions) -> tuple[str, ProjectOptions]:
    """Ask for the project's name and options, and return the answers. What was typed is the default.

    A name that was typed is not asked for.

    Raises:
        RefusedError: There is no terminal to ask on.
        click.Abort: The user stopped (Ctrl+C, Ctrl+D).
    """
    if not sys.stdin.isatty():
        raise RefusedError(
            "--interactive needs a terminal to ask its questions on; use options instead (`falconws new --help`)."
        )
    if name is None:
        name = click.prompt("Name of the project", value_proc=_checked_name, err=True)
    minimal = click.confirm("Only one module and one test?", default=typed.minimal, err=True)
    chosen = []
    for part in Part:
        if part in BROKERS:
            continue
        if part is not Part.COMPOSE or Part.DOCKER in chosen:
            question = f"{WHAT[part][0].upper()}{WHAT[part][1:]}?"
            if click.confirm(question, default=part in typed.parts, err=True):
                chosen.append(part)
    if not minimal:
        names = ["none", *(part.value for part in BROKERS)]
        default = next((part.value for part in typed.parts if part in BROKERS), "none")
        broker = click.prompt(
            "A hub, to reach many clients at once, over", type=click.Choice(names), default=default, err=True
        )
        chosen += [part for part in BROKERS if part.value == broker]
    return name, replace(typed, minimal=minimal, parts=parse_parts(part.value for part in chosen))


def _checked_name(text: str) -> str:
    try:
        refuse_as_package(parse_name(text))
    except RefusedError as error:
        # click asks again after this one.
        raise click.UsageError(error.message) from error
    return text
