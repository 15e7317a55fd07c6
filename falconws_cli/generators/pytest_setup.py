"""What generated tests need of a project: options of pytest, and the fixture `app`. Reads, and never writes."""

import ast
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any

from falconws_cli.change.plan import PlannedFile
from falconws_cli.generators.planning import PYPROJECT, read_text
from falconws_cli.project import Project

_MODE = "asyncio_mode"
_OPTIONS = {_MODE: "auto", "asyncio_default_fixture_loop_scope": "function"}
_OWN_FILES = ("pytest.toml", ".pytest.toml", "pytest.ini", ".pytest.ini")
_SHARED_FILES = {"tox.ini": "pytest", "setup.cfg": "tool:pytest"}


@dataclass(frozen=True)
class PytestOptions:
    """The options of pytest that a project has."""

    path: PurePosixPath
    """The file that pytest reads."""
    table: str
    """The table or section with the options."""
    options: Mapping[str, Any]
    exists: bool
    """Whether the table is there."""

    @property
    def missing(self) -> dict[str, str]:
        """The options that generated tests need, and that are not set."""
        if self._is_auto_by_argument:
            return {}
        return {name: value for name, value in _OPTIONS.items() if name not in self.options}

    @property
    def is_auto(self) -> bool:
        """Whether pytest-asyncio runs all async tests."""
        return self._is_auto_by_argument or self.options.get(_MODE) == _OPTIONS[_MODE]

    @property
    def _is_auto_by_argument(self) -> bool:
        return "--asyncio-mode=auto" in str(self.options.get("addopts", ""))

    @property
    def left_to_do(self) -> str:
        """What the user has to add."""
        quote = '"' if self.path.suffix == ".toml" else ""
        wanted = {_MODE: _OPTIONS[_MODE], **self.missing}
        lines = "\n".join(f"    {name} = {quote}{value}{quote}" for name, value in wanted.items())
        return (
            "Generated tests need the mode auto of pytest-asyncio. "
            f"Set this in [{self.table}] of {self.path}:\n\n{lines}\n"
        )


def pytest_options(project: Project) -> PytestOptions:
    """Return the options of pytest, from the file that pytest would read."""
    for name in _OWN_FILES:
        text = read_text(project, PurePosixPath(name))
        if text is not None:
            read = _toml_table if name.endswith(".toml") else _ini_section
            return PytestOptions(PurePosixPath(name), "pytest", read(text, "pytest") or {}, exists=True)
    text = read_text(project, PYPROJECT) or ""
    native = _toml_table(text, "tool.pytest") or {}
    if native.keys() - {"ini_options"}:
        return PytestOptions(PYPROJECT, "tool.pytest", native, exists=True)
    if "ini_options" not in native:
        for name, section in _SHARED_FILES.items():
            found = _ini_section(read_text(project, PurePosixPath(name)) or "", section)
            if found is not None:
                return PytestOptions(PurePosixPath(name), section, found, exists=True)
    options = _toml_table(text, "tool.pytest.ini_options")
    return PytestOptions(PYPROJECT, "tool.pytest.ini_options", options or {}, exists=options is not None)


def missing_for_tests(project: Project, files: Iterable[PlannedFile]) -> tuple[str, ...]:
    """Return what the user has to do before the tests among *files* can pass."""
    tests = [file for file in files if file.path.parts[0] == "tests" and file.path.name.startswith("test_")]
    left = []
    if any(b"\nasync def test_" in file.data for file in tests) and not (found := pytest_options(project)).is_auto:
        left.append(found.left_to_do)
    using = [
        file.path for file in tests if b"(client:" in file.data or b" client:" in file.data or b"app:" in file.data
    ]
    if using and not has_app_fixture(project, using):
        left.append(app_fixture_advice(project))
    return tuple(left)


def has_app_fixture(project: Project, tests: Iterable[PurePosixPath]) -> bool:
    """Return whether a conftest.py in or above the folders of *tests* may have a fixture `app`."""
    folders = {folder for path in tests for folder in path.parents}
    texts = (read_text(project, folder / "conftest.py") for folder in sorted(folders))
    return any(_may_define_app(text) for text in texts if text is not None)


def app_fixture_advice(project: Project) -> str:
    """Return the lines of the fixture `app`, and where they go."""
    module, _, attribute = project.app.partition(":")
    name, dot, rest = attribute.partition(".")
    imported = "application" if name == "app" else name
    renamed = "" if imported == name else f" as {imported}"
    call = "()" if _is_function(project, module, attribute) else ""
    lines = [
        *("import pytest", "", f"from {module} import {name}{renamed}", "", ""),
        *("@pytest.fixture", "def app():", f"    return {imported}{dot}{rest}{call}"),
    ]
    indented = "\n".join(f"    {line}".rstrip() for line in lines)
    return f"Generated tests need a fixture `app`. Add these lines to tests/conftest.py:\n\n{indented}\n"


def _is_function(project: Project, module: str, attribute: str) -> bool:
    path = project.path_of(module)
    candidates = (read_text(project, file) for file in (path.with_suffix(".py"), path / "__init__.py"))
    text = next((text for text in candidates if text is not None), "")
    try:
        body = ast.parse(text).body
    except (SyntaxError, ValueError):
        return False
    return any(isinstance(node, ast.FunctionDef) and node.name == attribute for node in body)


def _may_define_app(conftest: str) -> bool:
    try:
        nodes = list(ast.walk(ast.parse(conftest)))
    except (SyntaxError, ValueError):
        return True
    for node in nodes:
        match node:
            case ast.FunctionDef(name="app") | ast.AsyncFunctionDef(name="app"):
                return True
            case ast.keyword(arg="name", value=ast.Constant(value="app")):
                return True
            case ast.Name(id="app" | "pytest_plugins", ctx=ast.Store()):
                return True
            case ast.ImportFrom() if any((alias.asname or alias.name) in ("app", "*") for alias in node.names):
                return True
    return False


def _toml_table(text: str, table: str) -> dict[str, Any] | None:
    try:
        found: Any = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None
    for key in table.split("."):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, dict) else None


def _ini_section(text: str, section: str) -> dict[str, str] | None:
    import configparser

    parser = configparser.ConfigParser(interpolation=None, strict=False)
    try:
        parser.read_string(text)
    except configparser.Error:
        return None
    return dict(parser[section]) if parser.has_section(section) else None
