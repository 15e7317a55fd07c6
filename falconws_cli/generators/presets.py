"""The user's presets: choices for `falconws new` under a name, in a file that is read and never written."""

import tomllib
from pathlib import Path

import click

from falconws_cli.errors import CommandError, RefusedError, refused_by_system
from falconws_cli.generators.parts import ProjectOptions, parse_parts
from falconws_cli.suggestions import did_you_mean

_KEYS = ("minimal", "with")


def presets_file() -> Path:
    """Return where the presets of this user are, whether or not the file exists."""
    return Path(click.get_app_dir("falconws"), "presets.toml")


def read_presets(file: Path) -> dict[str, ProjectOptions]:
    """Return the presets in *file*, which has a table for each, such as `[service]` with `with = ["docker"]`.

    Raises:
        CommandError: The file cannot be read, or has an unknown key or value; the message names file and key.
    """
    try:
        document = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise CommandError(
            f"There are no presets: {file} does not exist. Give it a table such as [service] with a line such as "
            'with = ["docker", "github-ci"].'
        ) from None
    except OSError as error:
        raise refused_by_system(f"read {file}", error) from error
    except ValueError as error:
        raise CommandError(f"Cannot read {file}: {' '.join(str(error).split())}.") from error
    return {name: _preset(file, name, table) for name, table in document.items()}


def find_preset(name: str, file: Path) -> ProjectOptions:
    """Return the preset called *name*.

    Raises:
        CommandError: As `read_presets`.
        RefusedError: There is no such preset.
    """
    presets = read_presets(file)
    if name not in presets:
        hint = did_you_mean(name, presets) or (f" It has {', '.join(presets)}." if presets else " It is empty.")
        raise RefusedError(f'There is no preset "{name}" in {file}.{hint}')
    return presets[name]


def _preset(file: Path, name: str, table: object) -> ProjectOptions:
    if not isinstance(table, dict):
        raise CommandError(f"{file}: {name} is outside of a preset; put a line such as [service] above it.")
    for key in table:
        if key not in _KEYS:
            hint = did_you_mean(key, _KEYS) or f" The keys are {' and '.join(_KEYS)}."
            raise CommandError(f"{file}: {name}.{key} is unknown.{hint}")
    minimal, names = table.get("minimal", False), table.get("with", [])
    if not isinstance(minimal, bool):
        raise CommandError(f"{file}: {name}.minimal must be true or false.")
    if not isinstance(names, list) or not all(isinstance(part, str) for part in names):
        raise CommandError(f'{file}: {name}.with must be a list of parts, such as ["docker", "github-ci"].')
    try:
        options = ProjectOptions(minimal, parse_parts(names))
        options.refuse_contradiction()
    except RefusedError as error:
        raise CommandError(f"{file}: {name}.with: {error.message}") from error
    return options
