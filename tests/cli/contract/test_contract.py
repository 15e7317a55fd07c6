"""Each generator in each layout, with each form of pyproject.toml and in each state; and every byte brought back."""

import ast
import itertools
import json
import tomllib
from collections.abc import Iterator
from pathlib import Path

import click.testing
import pytest

from falconws_cli.change.merge import Labels, three_way
from falconws_cli.errors import ExitCode
from tests.cli.conftest import Run
from tests.cli.contract.projects import (
    ADDITIONS,
    LAYOUTS,
    PLAIN_APPS,
    VARIANTS,
    Addition,
    Layout,
    PyprojectVariant,
    build,
)
from tests.cli.lifecycle.operations import operation_files
from tests.cli.recorder import tree, without_record

USABLE = {name: variant for name, variant in VARIANTS.items() if not variant.refused}
DONE = (ExitCode.OK, ExitCode.LEFT_TO_DO)


def paired() -> Iterator[tuple[str, str, str]]:
    """Yield each layout with each addition, and variants in turn: each of them meets every layout and addition."""
    variants = itertools.cycle(USABLE)
    for layout, addition in itertools.product(LAYOUTS, ADDITIONS):
        yield layout, addition, next(variants)


class Project:
    """A project, and a user who works on it."""

    def __init__(self, run: Run, folder: Path, layout: Layout, variant: PyprojectVariant) -> None:
        self.layout = layout
        self.variant = variant
        self.root = build(folder, layout, variant)
        self.before = tree(self.root)
        self._run = run

    def run(self, *words: str) -> click.testing.Result:
        return self._run(*words, cwd=self.root.relative_to(self.root.parents[1]).as_posix())

    def do(self, *words: str, code: int = ExitCode.OK) -> str:
        result = self.run(*words)
        assert result.exit_code == code, f"{' '.join(words)}\n{result.output}"
        return result.output

    def add(self, addition: Addition) -> str:
        """Add something; what could not be registered must be said with the file and the lines."""
        result = self.run(*addition.words)
        assert result.exit_code in DONE, result.output
        assert (result.exit_code == ExitCode.LEFT_TO_DO) is ("Add these lines to it by hand:" in result.output)
        return result.output

    def path(self, addition: Addition) -> Path:
        """Return the main file of what was added."""
        if addition.module.startswith("/"):
            return self.root / addition.module[1:]
        return self.root / self.layout.package_path / addition.module

    def registering(self, addition: Addition) -> Path:
        """Return the file that registers what was added."""
        return self.root / (self.layout.routes_path if addition.in_routes else self.layout.app_path)

    def states(self) -> dict[str, str]:
        document = json.loads(self.run("status", "--json").stdout)
        return {file["path"]: file["state"] for one in document["operations"] for file in one["files"]}


@pytest.fixture
def make(run: Run, tmp_path: Path) -> Iterator[type[Project]]:
    """Make projects that the user of `run` works on."""
    numbers = itertools.count()

    class Made(Project):
        def __init__(self, layout: str, variant: str) -> None:
            folder = tmp_path / str(next(numbers))
            super().__init__(run, folder, LAYOUTS[layout], VARIANTS[variant])

    yield Made
    assert all(isinstance(name, str) for name in LAYOUTS)


def assert_whole(project: Project, addition: Addition) -> None:
    """Check what was added: it is where it belongs, registered, and everything is still valid."""
    for path in project.root.rglob("*.py"):
        ast.parse(path.read_text())
    document = tomllib.loads((project.root / "pyproject.toml").read_text())
    assert document["tool"]["falconws"]["app"] == project.layout.app
    assert project.path(addition).is_file()
    if addition.registered:
        text = project.registering(addition).read_text()
        assert addition.registered in text
        module = addition.module.removesuffix(".py").replace("/", ".")
        assert f"from {project.layout.package}.{module} import" in text
    if addition.dependency and project.variant.lists:
        assert any(one.startswith(addition.dependency) for one in document["project"]["dependencies"])
    if not project.variant.lists:
        assert "dependencies" not in document.get("project", {})
    for path, data in project.before.items():
        if path.endswith((".toml", ".md")):
            kept = [line for line in data.splitlines() if line.startswith((b"#", b"["))]
            now = (project.root / path).read_bytes().splitlines()
            assert all(line in now for line in kept), path


EVERYWHERE = [*paired(), *(("flat", addition, variant) for addition, variant in itertools.product(ADDITIONS, USABLE))]


@pytest.mark.parametrize(("layout", "addition", "variant"), dict.fromkeys(EVERYWHERE))
def test_fresh_every_generator_works_in_every_layout_and_pyproject_and_is_undone(
    make: type[Project], layout: str, addition: str, variant: str
) -> None:
    added = ADDITIONS[addition]
    project = make(layout, variant)
    said = project.add(added)
    assert_whole(project, added)
    if added.dependency and not project.variant.lists:
        assert f' "{added.dependency}' in said
    after = tree(project.root)
    again = project.add(added)
    assert "create" not in again
    assert "update" not in again.replace("up to date", "")
    assert tree(project.root) == after
    assert set(project.states().values()) == {"intact"}
    project.do("upgrade", "--check")
    project.do("undo")
    assert tree(project.root) == project.before


@pytest.mark.parametrize("addition", ADDITIONS)
def test_a_pyproject_that_cannot_be_read_is_named_and_nothing_is_written(make: type[Project], addition: str) -> None:
    for variant in VARIANTS.keys() - USABLE.keys():
        for layout in LAYOUTS:
            project = make(layout, variant)
            result = project.run(*ADDITIONS[addition].words)
            assert result.exit_code == ExitCode.FAILURE
            assert VARIANTS[variant].refused in result.stderr
            assert tree(project.root) == project.before


@pytest.mark.parametrize("spelling", PLAIN_APPS)
def test_plain_an_app_of_falcon_s_own_class_is_named_with_its_line_before_anything_is_written(
    make: type[Project], spelling: str
) -> None:
    top, name = PLAIN_APPS[spelling]
    project = make("main.py", "PEP 621")
    app = project.root / "demo" / "main.py"
    text = f"{top}\n\ndef create_app():\n    app = {name}()\n    return app\n"
    app.write_text(text)
    before = tree(project.root)
    [line] = [number for number, one in enumerate(text.splitlines(), 1) if "asgi.App)" in one or f"= {name}()" in one][
        :1
    ]
    for addition in ADDITIONS.values():
        said = project.do(*addition.words, code=ExitCode.USAGE if addition.registered else ExitCode.OK)
        if addition.registered:
            assert f"demo/main.py, line {line}: the app is a falcon.asgi.App" in said
            assert tree(project.root) == before
        else:
            project.do("undo")
    project.do("add-resource", "orders", "--pattern", "http")
    project.do("undo")
    app.write_text(text.replace(top, "import falconws\n").replace(name, "falconws.App"))
    project.do("add-resource", "chat")


@pytest.mark.parametrize(("layout", "addition", "variant"), list(paired()))
def test_edited_what_a_user_has_written_stays(make: type[Project], layout: str, addition: str, variant: str) -> None:
    added, project = ADDITIONS[addition], make(layout, variant)
    project.add(added)
    edited, registering = project.path(added), project.registering(added)
    for file in (edited, registering):
        file.write_bytes(file.read_bytes() + b"\n# Mine.\n")
    mine = edited.read_bytes()
    assert project.states()[edited.relative_to(project.root).as_posix()] == "edited"
    project.do("undo", code=ExitCode.LEFT_TO_DO)
    assert edited.read_bytes() == mine
    # The module that stays needs its dependency.
    needed = {"pyproject.toml"} if added.dependency and project.variant.lists else set()
    kept = needed | {
        edited.relative_to(project.root).as_posix(),
        f"{edited.parent.relative_to(project.root)}/__init__.py",
    }
    expected = dict(project.before)
    expected[registering.relative_to(project.root).as_posix()] += b"\n# Mine.\n"
    now = {path: data for path, data in without_record(project.root).items() if path not in kept}
    assert now == {path: data for path, data in expected.items() if path not in kept}
    project.do("undo", "--force")
    assert edited.relative_to(project.root).as_posix() not in tree(project.root)


@pytest.mark.parametrize(("layout", "addition", "variant"), list(paired()))
def test_moved_what_was_moved_is_found_recorded_and_removed(
    make: type[Project], layout: str, addition: str, variant: str
) -> None:
    added, project = ADDITIONS[addition], make(layout, variant)
    project.add(added)
    old = project.path(added)
    new = old.with_name(f"renamed_{old.name.lstrip('.')}")
    old.rename(new)
    module, renamed = f".{old.stem} import", f".{new.stem} import"
    for path in project.root.rglob("*.py"):
        path.write_text(path.read_text().replace(module, renamed))
    places = [path.relative_to(project.root).as_posix() for path in (old, new)]
    assert project.states()[places[1]] == "moved"
    before = tree(project.root)
    project.do("moved", *places)
    assert project.states()[places[1]] in ("intact", "edited")
    project.do("undo")
    assert tree(project.root) == before
    project.do("moved", *places)
    before = tree(project.root)
    removed = project.run(*added.remove)
    assert removed.exit_code in DONE, removed.output
    assert not new.exists()
    if added.registered:
        assert added.registered not in project.registering(added).read_text()
    project.do("undo")
    assert without_record(project.root) == {p: d for p, d in before.items() if not p.startswith(".falconws/")}


@pytest.mark.parametrize(("layout", "addition", "variant"), list(paired()))
def test_merged_two_branches_keep_both_and_undo_takes_one_back(
    make: type[Project], layout: str, addition: str, variant: str
) -> None:
    added, ours = ADDITIONS[addition], make(layout, variant)
    other = Addition(("add-middleware", "other"), (), "middleware/other.py", "OtherMiddleware()")
    theirs = make(layout, variant)
    theirs.add(added)
    ours.add(other)
    alone = tree(ours.root)
    for path, data in tree(theirs.root).items():
        file, base = ours.root / path, ours.before.get(path)
        if not file.exists():
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_bytes(data)
        elif file.read_bytes() != data and base is not None:
            merged = three_way(base, file.read_bytes(), data, Labels())
            # Both have a line at one place: git asks, and people keep both.
            lines = merged.data.splitlines(keepends=True)
            marks = (b"<<<<<<<", b"=======", b">>>>>>>", b"|||||||")
            file.write_bytes(b"".join(line for line in lines if not line.startswith(marks)))
    assert set(ours.states().values()) <= {"intact", "edited"}
    assert len(operation_files(ours.root)) == 2
    # In the order of their times: ours is the last.
    ours.do("undo")
    assert other.registered not in ours.registering(other).read_text()
    assert_whole(ours, added)
    ours.do("undo")
    assert without_record(ours.root) == ours.before
    assert any("other" in path for path in alone)


@pytest.mark.parametrize(("layout", "addition", "variant"), list(paired()))
def test_damaged_one_operation_is_named_and_the_others_stay_usable(
    make: type[Project], layout: str, addition: str, variant: str
) -> None:
    added, project = ADDITIONS[addition], make(layout, variant)
    project.add(added)
    [file] = operation_files(project.root)
    file.write_bytes(file.read_bytes()[:100])
    before = tree(project.root)
    assert file.name in project.do("status", code=ExitCode.LEFT_TO_DO)
    assert file.name in project.do("add-middleware", "other")
    project.do("undo")
    assert tree(project.root) == before


@pytest.mark.parametrize(("layout", "addition", "variant"), list(paired()))
def test_newer_nothing_is_touched_and_the_version_is_named(
    make: type[Project], layout: str, addition: str, variant: str
) -> None:
    added, project = ADDITIONS[addition], make(layout, variant)
    project.add(added)
    [file] = operation_files(project.root)
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "format": 99, "needs": "9.1"}))
    before = tree(project.root)
    for words in (added.words, ("undo",), added.remove, ("status",), ("upgrade",), ("add-middleware", "other")):
        assert "needs falconws 9.1 or newer" in project.do(*words, code=ExitCode.FAILURE)
    assert tree(project.root) == before
