"""Directives that generate the tables of a page from the source, so that the page cannot differ from it."""

import ast
import inspect
import re
from collections.abc import Iterable
from dataclasses import MISSING, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from falconws.server import AdmissionSettings, ConnectionSettings, TlsSettings
from falconws_cli.commands.serve import command as serve
from falconws_cli.errors import ExitCode

ROOT = Path(__file__).parents[2]
DIFFERENCES_AT = "tests/runtime/test_falcon_contract.py"

SETTINGS: dict[str, type[Any]] = {kind.__name__: kind for kind in (ConnectionSettings, AdmissionSettings, TlsSettings)}
"""The settings classes of falconws.server.run."""


def read_differences(path: Path = ROOT / DIFFERENCES_AT) -> dict[str, str]:
    """Return the literal table DIFFERENCES of the contract suite: a name and a sentence for each difference."""
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "DIFFERENCES" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            table: dict[str, str] = ast.literal_eval(node.value)
            return table
    raise LookupError(f"{path} has no table DIFFERENCES")


def read_arguments(docstring: str, heading: str) -> dict[str, str]:
    """Return the description of each argument below *heading* in a docstring."""
    texts: dict[str, str] = {}
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if not line.startswith(" "):
            inside = line == heading
        elif inside and (begin := re.match(r"    (\w+): (.*)", line)):
            texts[begin[1]] = begin[2]
        elif inside and texts:
            texts[next(reversed(texts))] += " " + line.strip()
    return texts


def settings_of(kind: type[Any]) -> list[tuple[str, str, str, str]]:
    """Return name, option, default and effect of each field of a settings class of the server."""
    texts = read_arguments(kind.__doc__ or "", "Attributes:")
    options = {parameter.name: parameter.opts[0] for parameter in serve.params}
    rows = []
    for field in fields(kind):
        default = "required" if field.default is MISSING else default_of(field.default)
        rows.append((field.name, options.get(field.name, ""), default, texts[field.name]))
    return rows


def exit_codes() -> list[tuple[int, str, str]]:
    """Return code, name and meaning of each exit code."""
    tree = ast.parse(Path(inspect.getfile(ExitCode)).read_text(encoding="utf-8"))
    (enum,) = (node for node in tree.body if isinstance(node, ast.ClassDef) and node.name == ExitCode.__name__)
    rows = []
    for statement, meaning in pairwise(enum.body):
        if isinstance(statement, ast.Assign) and isinstance(meaning, ast.Expr):
            name = ast.unparse(statement.targets[0])
            rows.append((ExitCode[name].value, name, " ".join(ast.literal_eval(meaning.value).split())))
    return rows


def default_of(value: object) -> str:
    """Return a default value as the tables show it."""
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return "none" if value is None else f"{value:,}" if isinstance(value, int) and value > 1 else str(value).lower()


class FromSource(SphinxDirective):
    """A directive whose content is Markdown from the source."""

    reads: Path = Path(__file__)

    def markdown(self) -> list[str]:
        """Return the lines of the content."""
        raise NotImplementedError

    def run(self) -> list[nodes.Node]:
        self.env.note_dependency(str(self.reads))
        container = nodes.Element()
        self.state.nested_parse(StringList(self.markdown(), source=str(self.reads)), 0, container)
        return container.children


class Differences(FromSource):
    """``{differences}``: every intentional difference from Falcon, as a bullet list."""

    reads = ROOT / DIFFERENCES_AT

    def markdown(self) -> list[str]:
        return [f"- {sentence}" for sentence in read_differences().values()]


class Settings(FromSource):
    """``{settings} ConnectionSettings``: the fields of a settings class of the server, as a table."""

    required_arguments = 1

    def markdown(self) -> list[str]:
        kind = SETTINGS[self.arguments[0]]
        self.env.note_dependency(inspect.getfile(kind))
        rows = [(f"`{n}`", f"`{o}`" if o else "", d, cell(t)) for n, o, d, t in settings_of(kind)]
        return table(("Field", "Option", "Default", "What it does, and the unit"), rows)


class ExitCodes(FromSource):
    """``{exit-codes}``: the exit codes of every command, as a table."""

    reads = Path(inspect.getfile(ExitCode))

    def markdown(self) -> list[str]:
        return table(("Code", "Name", "When"), [(f"`{c}`", f"`{n}`", cell(t)) for c, n, t in exit_codes()])


def cell(text: str) -> str:
    return text.replace("|", "\\|")


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return a Markdown table."""
    return [f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *rows)]


class AttributeDocstrings:
    """Prevent napoleon from reading the first words of an attribute's docstring, up to a colon, as its type."""

    def __init__(self) -> None:
        self._lines: list[str] = []

    def keep(self, app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        self._lines = list(lines)

    def restore(self, app: Sphinx, what: str, name: str, obj: object, options: object, lines: list[str]) -> None:
        if what in ("attribute", "data", "property"):
            lines[:] = self._lines


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the directives."""
    app.add_directive("differences", Differences)
    app.add_directive("settings", Settings)
    app.add_directive("exit-codes", ExitCodes)
    docstrings = AttributeDocstrings()
    napoleon_s = 500
    app.connect("autodoc-process-docstring", docstrings.keep, priority=napoleon_s - 1)
    app.connect("autodoc-process-docstring", docstrings.restore, priority=napoleon_s + 1)
    return {"parallel_read_safe": True}
