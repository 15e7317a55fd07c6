"""`falconws new`: a whole project.

Plans its files, which another module writes, and makes the first commit.
"""

import importlib.util
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path, PurePosixPath

from falconws_cli import VERSION
from falconws_cli.change.plan import Plan, PlannedFile, Recipe
from falconws_cli.change.record import FOLDER
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.generators import plan
from falconws_cli.generators.parts import BROKERS, PLAIN, Part, ProjectOptions, parse_parts
from falconws_cli.names import Name, parse_name, refuse_as_package
from falconws_cli.origin import find_source, install_command
from falconws_cli.project import Project
from falconws_cli.source.registration import JsonValue
from falconws_cli.templating.rendering import render_trees

FIRST_RESOURCE = "falconws add-resource echo"
"""The command that would add the resource that each full project begins with."""
BROKER_URLS = {"redis": "redis://127.0.0.1:6379", "nats": "nats://127.0.0.1:4222"}
"""Where a broker is on a developer's machine."""


def plan_project(
    text: str, parent: Path, options: ProjectOptions = PLAIN, *, among_files: bool = False
) -> tuple[Path, list[Plan]]:
    """Return the folder of the project called *text* below *parent*, and the plans for it, in order.

    A full project is followed by its first resource, as `falconws add-resource echo` makes it.

    Args:
        text: The project's name, as typed.
        parent: The folder that its folder goes into.
        options: Its layout and its optional parts.
        among_files: Whether the folder may have files already: the user has chosen a conflict policy.

    Raises:
        RefusedError: The name cannot be a package's, the folder is in use, or the parts do not go together.
    """
    if "/" in text or "\\" in text:
        folder, _, last = text.replace("\\", "/").rstrip("/").rpartition("/")
        raise RefusedError(f'"{text}" is a path, not a name; try `falconws new {last or "NAME"} --in {folder or "/"}`.')
    here = text == "."
    name = parse_name(parent.resolve().name if here else text)
    package = parse_name(options.package) if options.package else name
    refuse_as_package(package)
    _refuse_installed(package)
    options.refuse_contradiction()
    if not parent.is_dir():
        raise RefusedError(f"There is no folder {parent} to create the project in; create it first.")
    root = parent if here else parent / name.kebab
    if root.exists() or root.is_symlink():
        if not root.is_dir():
            raise RefusedError(f"{root} exists and is a file; choose another name.")
        if (root / FOLDER).exists():
            raise RefusedError(f"{root} is a falconws project already; choose another name.")
        others = [path.name for path in root.iterdir() if not _belongs_to_a_repository(path.name)]
        if others and not among_files:
            raise RefusedError(
                f"{root} is not empty: it contains {sorted(others)[0]}; choose another name, or decide about existing "
                "files with --merge, --skip or --force."
            )
    parts: list[JsonValue] = [part.value for part in options.parts]
    chosen: dict[str, JsonValue] = {"minimal": options.minimal, "with": parts}
    if package != name:
        chosen["package"] = package.module
    if options.src:
        chosen["src"] = True
    source = find_source(root)
    if source:
        chosen["source"] = source
    recipe = Recipe("project", name.kebab, chosen)
    files = render_project(recipe)
    # Files that a new repository starts with are kept as they are.
    files = tuple(replace(file, keep_existing=_belongs_to_a_repository(str(file.path))) for file in files)
    notes = tuple(
        f"{package.constant}_HUB_URL is {BROKER_URLS[part.value]} unless you set it; "
        f"`docker compose up -d {part.value}` starts a broker there."
        for part in options.parts
        if part in BROKERS
    )
    made = Plan(files, notes=notes, recipe=recipe, generated=frozenset(file.path for file in files))
    return root, [made] if options.minimal else [made, _first_resource(root, package, files)]


@dataclass(frozen=True)
class _PlannedProject(Project):
    """A project that has only been planned."""

    files: Mapping[PurePosixPath, bytes] = field(default_factory=dict)

    @cached_property
    def _paths(self) -> set[str]:
        """The paths of all files, and of the folders that they are in."""
        paths = [str(path) for path in self.files]
        return {
            "/".join(parts[:length]) for parts in (p.split("/") for p in paths) for length in range(1, len(parts) + 1)
        }

    def read(self, path: PurePosixPath) -> bytes | None:
        return self.files.get(path)

    def exists(self, path: PurePosixPath) -> bool:
        return str(path) in self._paths


def _first_resource(root: Path, name: Name, files: Iterable[PlannedFile]) -> Plan:
    project = _PlannedProject(root, f"{name.module}.app:create_app", files={file.path: file.data for file in files})
    return replace(plan(project, "resource", "echo", {}), command=FIRST_RESOURCE)


def render_project(
    recipe: Recipe, *, root: Path | None = None, values: Mapping[str, str] | None = None
) -> tuple[PlannedFile, ...]:
    """Return the files of a project, as the installed templates make them. Nothing is refused.

    A recipe without options is that of a full project without optional parts.

    Args:
        recipe: What the project is made of.
        root: The project's folder, once there is one: its own templates win.
        values: Values for the templates that replace those of the recipe.
    """
    name = parse_name(recipe.name)
    package = parse_name(str(recipe.options.get("package", recipe.name)))
    src = bool(recipe.options.get("src", False))
    minimal = bool(recipe.options.get("minimal", False))
    source = str(recipe.options.get("source", ""))
    parts = parse_parts(recipe.names("with"))
    broker = next((part.value for part in parts if part in BROKERS), "")
    context = {
        "distribution": name.kebab,
        "package": package.module,
        "package_dir": f"src/{package.module}" if src else package.module,
        "src": src,
        "env": package.constant,
        "app": f"{package.module}.{'app:create_app' if minimal else 'asgi:app'}",
        "falconws_version": VERSION,
        "source": source,
        "install": install_command(source),
        "next_breaking_version": _next_breaking(VERSION),
        "minimal": minimal,
        "broker": broker,
        "broker_url": BROKER_URLS.get(broker),
        **{part.value.replace("-", "_"): part in parts for part in Part if part not in BROKERS},
        **(values or {}),
    }
    return tuple(render_trees(_trees(parts, minimal=minimal), context, root=root))


def files_of_part(recipe: Recipe, part: str) -> list[str]:
    """Return the paths of the files that a project of this recipe has for one of its parts only."""
    others: list[JsonValue] = [name for name in recipe.names("with") if name != part]
    without = {file.path for file in render_project(replace(recipe, options={**recipe.options, "with": others}))}
    return sorted(str(file.path) for file in render_project(recipe) if file.path not in without)


def _next_breaking(version: str) -> str:
    """Return the next version that may break what works with *version*: the next major one, or minor one before 1.0."""
    major, minor, *_ = (int(part) for part in version.split("."))
    return f"{major + 1}" if major else f"0.{minor + 1}"


def make_first_commit(root: Path, message: str) -> None:
    """Commit everything in *root*, in a repository that is created if there is none.

    Raises:
        CommandError: git is missing, or refuses.
    """
    import subprocess

    for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", f"--message={message}"]):
        try:
            done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=False)
        except OSError as error:
            raise CommandError("The project was created without a commit: git is not installed.") from error
        if done.returncode:
            said = " ".join((done.stderr or done.stdout).split())
            raise CommandError(f"The project was created without a commit: git {arguments[0]} failed: {said}")


def _trees(parts: Iterable[Part], *, minimal: bool) -> list[str]:
    """Return the trees of templates that the project is made of."""
    optional = {part.value for part in parts if part not in BROKERS}
    if any(part in BROKERS for part in parts):
        # A broker is a service of compose.yaml, with or without the project's own.
        optional |= {"hub", "compose"}
    layout = "minimal" if minimal else "full"
    return ["project/base", f"project/{layout}", *(f"project/with/{tree}" for tree in sorted(optional))]


def _belongs_to_a_repository(file: str) -> bool:
    """Return whether a new repository may have a file of this name before its first line of code."""
    start = file.lower().partition(".")[0]
    return start in ("license", "licence", "copying", "readme") or file in (".git", ".gitignore", ".gitattributes")


def _refuse_installed(name: Name) -> None:
    try:
        installed = importlib.util.find_spec(name.module)
    except (ImportError, ValueError):
        installed = None
    # A spec without an origin is a folder on the import path with the same name.
    if installed is None or installed.origin is None:
        return
    # Reading the metadata of all installed packages is slow: do it only for a refusal.
    from importlib.metadata import packages_distributions

    owners = packages_distributions().get(name.module)
    owner = f"the installed package {owners[0]}" if owners else installed.origin
    raise RefusedError(f'"{name.module}" is the name of {owner}, which the project would hide; try "my-{name.kebab}".')
