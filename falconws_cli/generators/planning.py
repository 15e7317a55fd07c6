"""Plans what a generator made: new files, edits of the project's own files, missing packages. Reads, never writes."""

from collections.abc import Iterable
from dataclasses import replace
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
    pyproject_lists,
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
        if reason := _unreadable(project, spec.path):
            from falconws_cli.source.register.result import RegisterOutcome

            registration = replace(registration, outcome=RegisterOutcome.CANNOT, text=text, reason=reason)
        texts[spec.path] = registration.text
        registrations.append(PlannedRegistration(spec.path, registration, spec))
    added, pyproject, left = _require(project, generated.requirements)
    if pyproject is not None:
        texts[PYPROJECT] = pyproject
    notes = generated.notes
    if added.dependencies:
        names = " and ".join(added.dependencies)
        notes = (*notes, f"{names} is a dependency of the project now; install it with `{install_command(project)}`.")
    return Plan(
        files=merge(generated.files, _edits(project, texts), _packages(project, generated.files)),
        registrations=tuple(registrations),
        notes=(*notes, *left),
        recipe=recipe,
        generated=frozenset(file.path for file in generated.files),
        requirements=generated.requirements,
        added=added,
    )


def _unreadable(project: Project, path: PurePosixPath) -> str:
    """Return why a file cannot be read for a registration; "" if it can."""
    if read_text(project, path) is not None:
        return ""
    return "it is not UTF-8" if project.exists(path) else "there is no such file"


def read_text(project: Project, path: PurePosixPath) -> str | None:
    """Return the file's text with its line ends, or None if it is missing or not UTF-8."""
    data = project.read(path)
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def names_for(project: Project, name: Name, class_name: str) -> dict[str, str]:
    """Return the values that the templates of every generated module use."""
    return {
        "package": project.package,
        "package_dir": str(project.package_path),
        "module": name.module,
        "class_name": class_name,
        "class_prefix": name.class_prefix,
    }


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


def _require(project: Project, wanted: Requirements) -> tuple[Requirements, str | None, list[str]]:
    """Return the missing requirements of *wanted*, the edited pyproject.toml, and notes on what it has no place for.

    The text is None if nothing is missing.
    """
    if not wanted:
        return NOTHING, None, []
    # The import of tomlkit is slow.
    from falconws_cli.source.pyproject import UnsupportedFormError, command_to_require, edit_pyproject

    text = read_text(project, PYPROJECT) or ""
    command, notes = command_to_require(text), []
    if command:
        notes = _commands_to_require(command, wanted)
        wanted = replace(wanted, dependencies=(), dev_dependencies=())
    added, left = {}, []
    # The modules are not in the file; they tell whether the project still uses a dependency.
    for name, values in pyproject_lists(wanted).items():
        kept = []
        for value in values:
            try:
                edited = edit_pyproject(text, **{name: (value,)})
            except UnsupportedFormError:
                left.append(f'"{value}" ({name.replace("_", " ")})')
                continue
            if edited != text:
                kept.append(value)
            text = edited
        added[name] = tuple(kept)
    if left:
        notes.append(f"{PYPROJECT} is written in a form that falconws cannot edit: add {' and '.join(left)} by hand.")
    return Requirements(**added), text, notes


_INSTALL_COMMANDS = {"uv.lock": "uv sync", "poetry.lock": "poetry install", "pdm.lock": "pdm install"}
"""The command that installs a project, by the lock file of its package manager."""


def install_command(project: Project) -> str:
    """Return the command that installs the project's dependencies."""
    for folder in (project.root, *project.root.resolve().parents):
        for lock, command in _INSTALL_COMMANDS.items():
            if (folder / lock).exists():
                return command
        # The project may be one of a workspace, which has the lock file; it ends with the repository.
        if (folder / ".git").exists():
            break
    return 'pip install -e ".[dev]"'


def _commands_to_require(command: str, wanted: Requirements) -> list[str]:
    """Return a note with the *command* that adds each kind of requirements."""
    is_poetry = command == "poetry add"
    commands = [
        " ".join([words, *(f'"{requirement}"' for requirement in requirements)])
        for words, requirements in (
            (command, wanted.dependencies),
            (f"{command} --group dev" if is_poetry else command, wanted.dev_dependencies),
        )
        if requirements
    ]
    if not commands:
        return []
    keep = "" if is_poetry else ", and add it to the file with the dependencies of the project"
    return [f"The project does not list its dependencies in [project]: run `{'` and `'.join(commands)}`{keep}."]


def _packages(project: Project, files: Iterable[PlannedFile]) -> list[PlannedFile]:
    """Return the missing `__init__.py` files of the folders of *files* in the project's package."""
    paths = {file.path for file in files if file.path.suffix == ".py"}
    missing = set()
    for path in paths:
        for folder in path.parents:
            if project.package_path in folder.parents:
                missing.add(folder / "__init__.py")
    return [PlannedFile(path, b"") for path in sorted(missing - paths) if not project.exists(path)]
