"""Generators of other packages: found by their entry points, loaded when they are asked for, and checked.

Each fault of such a package becomes one line that names it. Knows nothing of commands.
"""

from __future__ import annotations

import importlib
import inspect
import os
import traceback
from dataclasses import replace
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Protocol, TypeVar

import click

from falconws_cli.change.plan import Generated, PlannedFile, Recipe
from falconws_cli.entry_points import find_entry_points, package_of
from falconws_cli.errors import CommandError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from falconws_cli.project import Project
    from falconws_cli.source.registration import JsonValue


class GeneratorExtension(Protocol):
    """A generator of another package. Its docstring is the help of its command."""

    @property
    def params(self) -> Sequence[click.Parameter]:
        """What the command takes besides NAME and the options that all generating commands have."""
        ...

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Check what the user typed; return the recipe: all that `make` needs, as values that JSON supports.

        Args:
            project: Where it goes.
            name: What was typed; `parse_name` turns it into names of modules and classes.
            options: The values of `params`.

        Raises:
            RefusedError: The name or an option is refused; the message is one line that says what to do.
        """
        ...

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return the files of *recipe*, and the registrations in the project's own files.

        It is called again for a recorded recipe, by `falconws upgrade`: the same recipe makes the same files, whether
        they are there already or not.

        Raises:
            CommandError: Something that it needs is missing; the message is one line that says what to do.
        """
        ...


_Answer = TypeVar("_Answer")


def load_extension(name: str) -> Extension | None:
    """Return the generator called *name*, or None if no package has one.

    Raises:
        CommandError: Two packages have a generator of this name, or it cannot be loaded.
    """
    points = find_entry_points(name)
    packages = sorted({package_of(point) for point in points})
    if len(packages) > 1:
        raise CommandError(f'{" and ".join(packages)} both have a generator "{name}"; uninstall all but one.')
    if not points:
        return None
    point, package = points[0], packages[0]
    try:
        loaded = point.load()
        generator = loaded() if isinstance(loaded, type) else loaded
        params = list(generator.params)
    # Whatever fails while the package's code is loaded is an error of that package.
    except (Exception, SystemExit) as error:
        raise CommandError(
            f'The generator "{name}" of the package {package} cannot be loaded{_said(error)} '
            f"Update {package}, or uninstall it."
        ) from error
    strangers = [each for each in params if not isinstance(each, click.Parameter)]
    if strangers or not all(callable(getattr(generator, method, None)) for method in ("recipe", "make")):
        raise CommandError(
            f'The generator "{name}" of the package {package} is incomplete: it needs params (click options), '
            f"recipe() and make(). Update {package}, or uninstall it."
        )
    return Extension(name, package, generator, params)


class Extension:
    """A generator of another package. Its results are checked, and its errors reported in one line."""

    def __init__(self, name: str, package: str, generator: GeneratorExtension, params: list[click.Parameter]) -> None:
        self.name = name
        self.package = package
        self.params = params
        self.help = inspect.getdoc(generator) or f"Add what {package} makes."
        self._generator = generator

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Return the generator's recipe, under the generator's own name.

        Raises:
            RefusedError: It is refused.
            CommandError: The generator fails, or its recipe cannot be written down.
        """
        recipe = self._asked(lambda: self._generator.recipe(project, name, options))
        if not isinstance(recipe, Recipe) or not isinstance(recipe.name, str) or not _is_json(dict(recipe.options)):
            raise self._broken("its recipe() returned something that is not a Recipe, or that JSON does not support")
        return replace(recipe, generator=self.name, package=self.package)

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return what the generator makes.

        Raises:
            CommandError: The generator fails, or it would write outside of the project.
        """
        generated = self._asked(lambda: self._generator.make(project, recipe))
        if not isinstance(generated, Generated) or not all(isinstance(file, PlannedFile) for file in generated.files):
            raise self._broken("its make() returned something that is not a Generated of PlannedFiles")
        for file in generated.files:
            if not _is_inside(file.path) or file.delete or not isinstance(file.data, bytes):
                raise self._broken(f"it would write {file.path}, which is not a new file in the project")
        return generated

    def _asked(self, question: Callable[[], _Answer]) -> _Answer:
        try:
            return question()
        except click.ClickException:
            raise
        except Exception as error:
            raise self._broken(f"it failed{_said(error).rstrip('.')}") from error

    def _broken(self, what: str) -> CommandError:
        return CommandError(
            f'The generator "{self.name}" of the package {self.package} is broken: {what}. Nothing was written.'
        )


def _is_json(value: object) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float | bool)


def _is_inside(path: PurePosixPath) -> bool:
    return isinstance(path, PurePosixPath) and not path.is_absolute() and ".." not in path.parts and bool(path.parts)


def _said(error: BaseException) -> str:
    """Return ` in FILE, line N: Error: what it said.`, the place only where it is the package's."""
    ours = (__file__, "<", os.path.dirname(importlib.__file__))
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(ours)]
    place = f" in {frames[-1].filename}, line {frames[-1].lineno}" if frames else ""
    what = " ".join(str(error).split()).rstrip(".")
    return f"{place}: {type(error).__name__}{f': {what}' if what else ''}."
