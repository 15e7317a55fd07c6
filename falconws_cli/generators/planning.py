"""Plans what a generator made: new files, edits of the project's own files, missing packages. Reads, never writes."""

from collections.abc import Container, Iterable
from dataclasses import fields, replace
from pathlib import PurePosixPath

from falconws_cli.change.plan import (
    NOTHING,
    Generated,
    Plan,
    PlannedFile,
    PlannedRegistration,
    Recipe,
    Requirements,
    merge,
)
from falconws_cli.errors import RefusedError
from falconws_cli.names import Name
from falconws_cli.project import Project

PYPROJECT = PurePosixPath("pyproject.toml")


def plan_generated(project: Project, recipe: Recipe, generated: Generated) -> Plan:
    """Return the plan that adds *generated* to *project*.

    Raises:
        CommandError: pyproject.toml has to be edited, and cannot be.
    """
    texts: dict[PurePosixPath, str] = {}
    registrations = []
    for spec in generated.registrations:
        text = texts.get(spec.path) or read_text(project, spec.path) or ""
        registration = spec.register(text)
        if reason := _unreadable(project, spec.path, texts):
            from falconws_cli.source.register import RegisterOutcome

            registration = replace(registration, outcome=RegisterOutcome.CANNOT, text=text, reason=reason)
        texts[spec.path] = registration.text
        registrations.append(PlannedRegistration(spec.path, registration, spec))
    added, pyproject = _require(project, generated.requirements)
    if pyproject is not None:
        texts[PYPROJECT] = pyproject
    notes = generated.notes
    if added.dependencies:
        names = " and ".join(added.dependencies)
        notes = (*notes, f"{names} is a dependency of the project now; install it with `{install_command(project)}`.")
    notes = (*notes, *_left_to_require(project, generated.requirements))
    return Plan(
        files=merge(generated.files, _edits(project, texts), _packages(project, generated.files)),
        registrations=tuple(registrations),
        notes=notes,
        recipe=recipe,
        generated=frozenset(file.path for file in generated.files),
        requirements=generated.requirements,
        added=added,
    )


def _unreadable(project: Project, path: PurePosixPath, texts: Container[PurePosixPath]) -> str:
    """Return why a file cannot be read for a registration; "" if it can."""
    if path in texts or read_text(project, path) is not None:
        return ""
    return "it is not UTF-8" if project.exists(path) else "there is no such file"


def read_text(project: Project, path: PurePosixPath) -> str | None:
    """Return the file's text with its line ends, or None if it is missing or not UTF-8."""
    data = project.read(path)
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def refuse_taken_class(project: Project, folder: str, name: Name) -> None:
    """Refuse a name whose class would be that of another module in *folder*: chat-room2 beside chat-room-2.

    Raises:
        RefusedError: Another module has the class.
    """
    for path in sorted((project.root / project.package_path / folder).glob("*.py")):
        words = [word for word in path.stem.split("_") if word]
        if path.stem != name.module and words and Name(tuple(words)).class_prefix == name.class_prefix:
            raise RefusedError(
                f'"{name.kebab}" and {project.package_path / folder / path.name} would have the same class name, '
                f"{name.class_prefix}...; choose another name."
            )


def _edits(project: Project, texts: dict[PurePosixPath, str]) -> list[PlannedFile]:
    before = {path: (read_text(project, path) or "").encode() for path in texts}
    after = {path: text.encode() for path, text in texts.items()}
    return [PlannedFile(path, after[path], before=before[path]) for path in texts if after[path] != before[path]]


def _require(project: Project, wanted: Requirements) -> tuple[Requirements, str | None]:
    """Return the missing requirements of *wanted*, and the edited pyproject.toml; None if nothing is missing."""
    if not wanted:
        return NOTHING, None
    # The import of tomlkit is slow.
    from falconws_cli.source.pyproject import command_to_require, edit_pyproject

    text = read_text(project, PYPROJECT) or ""
    if command_to_require(text):
        wanted = replace(wanted, dependencies=(), dev_dependencies=())
    added = {}
    for field in fields(wanted):
        values = getattr(wanted, field.name)
        if field.name == "modules":
            # The modules are not in the file; they tell whether the project still uses a dependency.
            continue
        kept = []
        for value in values:
            edited = edit_pyproject(text, **{field.name: (value,)})
            if edited != text:
                kept.append(value)
            text = edited
        added[field.name] = tuple(kept)
    return Requirements(**added), text


def install_command(project: Project) -> str:
    """Return the command that installs the project's dependencies."""
    return "uv sync" if project.exists(PurePosixPath("uv.lock")) else 'pip install -e ".[dev]"'


def _left_to_require(project: Project, wanted: Requirements) -> list[str]:
    """Return a note for the requirements that pyproject.toml has no place for."""
    requirements = (*wanted.dependencies, *wanted.dev_dependencies)
    if not requirements:
        return []
    from falconws_cli.source.pyproject import command_to_require

    command = command_to_require(read_text(project, PYPROJECT) or "")
    if not command:
        return []
    listed = " ".join(f'"{requirement}"' for requirement in requirements)
    keep = "" if command == "poetry add" else ", and add it to the file with the dependencies of the project"
    return [f"The project does not list its dependencies in [project]: run `{command} {listed}`{keep}."]


def _packages(project: Project, files: Iterable[PlannedFile]) -> list[PlannedFile]:
    """Return the missing `__init__.py` files of the folders of *files* in the project's package."""
    paths = {file.path for file in files if file.path.suffix == ".py"}
    missing = set()
    for path in paths:
        for folder in path.parents:
            if project.package_path in folder.parents:
                missing.add(folder / "__init__.py")
    return [PlannedFile(path, b"") for path in sorted(missing - paths) if not project.exists(path)]
