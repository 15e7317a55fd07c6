"""Renders templates with Jinja2 in its sandbox, because the templates of a cloned project are not trusted.

An error in a template becomes one line with the file and the line number. Knows no projects.
"""

from __future__ import annotations

import traceback
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, FunctionLoader, StrictUndefined, TemplateError, TemplateSyntaxError
from jinja2.sandbox import SandboxedEnvironment

from falconws_cli.errors import CommandError
from falconws_cli.templating.filters import FILTERS, FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from falconws_cli.templating.templates import Template


def environment() -> Environment:
    """Return the environment that parses and renders templates."""
    made = SandboxedEnvironment(
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.globals.update(FUNCTIONS)
    made.filters.update(FILTERS)
    return made


def renderers_of(
    templates: Mapping[str, Template], root: Path | None
) -> dict[str, bytes | Callable[[Mapping[str, Any]], str]]:
    """Return a renderer for each template, by path, and the bytes of each file that is not a template.

    Args:
        templates: All templates, by path, with those that are only included.
        root: The folder that file names in errors are relative to.
    """
    jinja = environment()
    jinja.loader = FunctionLoader(lambda path: _load(templates, path, root))
    return {
        path: (_Renderer(jinja, templates, path, root) if path.endswith(".jinja") else template.data)
        for path, template in templates.items()
    }


def _load(templates: Mapping[str, Template], path: str, root: Path | None) -> tuple[str, str, None] | None:
    if path not in templates:
        return None
    template = templates[path]
    try:
        return template.data.decode(), str(template.file), None
    except UnicodeDecodeError as error:
        raise CommandError(f"{_shown(str(template.file), root)} is not UTF-8, as a template must be.") from error


class _Renderer:
    def __init__(self, jinja: Environment, templates: Mapping[str, Template], path: str, root: Path | None) -> None:
        self._jinja = jinja
        self._templates = templates
        self._path = path
        self._root = root

    def __call__(self, values: Mapping[str, Any]) -> str:
        """Return the text.

        Raises:
            CommandError: The template, or one that it includes, cannot be rendered.
        """
        try:
            return self._jinja.get_template(self._path).render(values)
        except CommandError:
            raise
        except TemplateSyntaxError as error:
            where = f"{_shown(error.filename or error.name or self._path, self._root)}, line {error.lineno}"
            raise CommandError(f"{where}: {_sentence(error.message or 'the syntax is wrong')}") from error
        # An expression of a template may call our functions with any value.
        except Exception as error:
            names = ", ".join(sorted(name for name in values if name not in FUNCTIONS))
            known = f" Templates here may use {names}." if isinstance(error, TemplateError) else ""
            what = str(error) or type(error).__name__
            raise CommandError(f"{self._place(error)}: {_sentence(what)}{known}") from error

    def _place(self, error: Exception) -> str:
        """Return the file and line of the innermost template in the traceback."""
        files = {str(template.file) for template in self._templates.values()}
        frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename in files]
        if not frames:
            return _shown(str(self._templates[self._path].file), self._root)
        return f"{_shown(frames[-1].filename, self._root)}, line {frames[-1].lineno}"


def _sentence(text: str) -> str:
    return f"{' '.join(text.split()).rstrip('.')}."


def _shown(file: str, root: Path | None) -> str:
    return file.removeprefix(f"{root}/") if root is not None else file
