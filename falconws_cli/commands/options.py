"""Options that commands share: numbers with a unit, and those of commands that write, with their command line."""

import functools
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions


class IntRange(click.IntRange):
    """A range of integers, whose errors and help call a value an integer."""

    name = "integer"


class FloatRange(click.FloatRange):
    """A range of numbers, whose errors and help call a value a number."""

    name = "number"


_POLICIES = ("force", "skip", "merge")


def quantity(
    flag: str,
    name: str,
    allowed: click.ParamType[Any],
    default: float,
    unit: str,
    what: str,
    *,
    zero_is_none: bool = False,
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return an option for a number with a unit, whose help shows both and the default.

    Args:
        flag: As it is typed.
        name: The parameter of the command.
        allowed: The range of the number.
        default: The number without the option.
        unit: What the number counts.
        what: The help.
        zero_is_none: Whether the command gets None for 0.
    """
    return click.option(
        flag,
        name,
        type=allowed,
        default=default,
        show_default=True,
        metavar=unit,
        callback=(lambda _context, _parameter, value: value or None) if zero_is_none else None,
        help=what,
    )


def generating(*, unrecorded: Iterable[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a generating command `--dry-run`, `--diff`, `--json`, `--force`, `--skip` and `--merge`.

    The command gets them as one argument, `write_options`.

    Args:
        unrecorded: Parameters that are not recorded in the project.
    """
    return _writing(
        [
            *_PREVIEW,
            click.option("--force", is_flag=True, help="Overwrite existing files that differ."),
            click.option("--skip", is_flag=True, help="Keep existing files unchanged."),
            click.option("--merge", is_flag=True, help="Merge with existing files, as git would."),
        ],
        frozenset(unrecorded),
    )


def removing(*, unrecorded: Iterable[str] = ()) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a removing command its options: those of `generating`, without `--skip` and `--merge`."""
    force = click.option("--force", is_flag=True, help="Remove edited files too, and go on if some are not found.")
    return _writing([*_PREVIEW, force], frozenset(unrecorded))


def recording() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command that changes only the record `--dry-run`, `--diff` and `--json`."""
    return _writing(_PREVIEW, frozenset())


def upgrading() -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give `falconws upgrade` its options: those of `removing`, where `--force` means something else."""
    force = click.option("--force", is_flag=True, help="Upgrade even though changes are not committed.")
    return _writing([*_PREVIEW, force], frozenset())


_PREVIEW = (
    click.option("--dry-run", is_flag=True, help="Show what would be written; write nothing."),
    click.option("--diff", is_flag=True, help="Show each change as a unified diff."),
    click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines."),
)


def _writing(
    options: Iterable[Callable[[Callable[..., None]], Callable[..., None]]], unrecorded: frozenset[str]
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    def decorate(function: Callable[..., None]) -> Callable[..., None]:
        @functools.wraps(function)
        def wrapper(**arguments: Any) -> None:
            from falconws_cli.extras import GENERATORS, require_modules
            from falconws_cli.output import Matters, output_matters

            output_matters(Matters.NEVER)
            require_modules(f"`{click.get_current_context().command_path}`", *GENERATORS)
            chosen = {name: arguments.pop(name, False) for name in ("dry_run", "diff", "as_json", *_POLICIES)}
            function(write_options=_write_options(chosen, unrecorded), **arguments)

        decorated: Callable[..., None] = wrapper
        for option in reversed(list(options)):
            decorated = option(decorated)
        return decorated

    return decorate


def _write_options(chosen: dict[str, bool], unrecorded: frozenset[str]) -> "WriteOptions":
    from falconws_cli.change.write_options import ConflictPolicy, WriteOptions

    policies = [name for name in _POLICIES if chosen[name]]
    if len(policies) > 1:
        raise click.UsageError(f"--{policies[0]} and --{policies[1]} cannot be combined; choose one.")
    return WriteOptions(
        dry_run=chosen["dry_run"],
        diff=chosen["diff"],
        json=chosen["as_json"],
        policy=ConflictPolicy(f"--{policies[0]}") if policies else ConflictPolicy.ASK,
        command=command_line(click.get_current_context(), unrecorded),
    )


def command_line(context: click.Context, unrecorded: Iterable[str] = ()) -> str:
    """Return the command line in a canonical form: arguments, then options, without the options of this module."""
    from shlex import quote

    hidden = {"dry_run", "diff", "as_json", *_POLICIES, *unrecorded}
    words = []
    options = []
    for parameter in context.command.params:
        name = parameter.name or ""
        value = context.params.get(name)
        typed = context.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE
        if name in hidden or not typed:
            continue
        values = value if isinstance(value, tuple) else (value,)
        if isinstance(parameter, click.Argument):
            words += [str(item) for item in values]
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            options.append(parameter.opts[0] if value or not parameter.secondary_opts else parameter.secondary_opts[0])
        else:
            options += [word for item in values for word in (parameter.opts[0], str(item))]
    return " ".join([context.command_path, *map(quote, [*words, *options])])
