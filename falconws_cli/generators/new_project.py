"""`falconws new`: a whole project."""

import importlib.util
from importlib.metadata import packages_distributions, version
from pathlib import Path

from falconws_cli.errors import RefusedError
from falconws_cli.names import Name, parse_name, refuse_as_package
from falconws_cli.plan import Plan, PlannedFile, Recipe, render_tree
from falconws_cli.templates import load_tree


def plan_project(text: str, parent: Path) -> tuple[Path, Name, Plan]:
    """Return the folder of the project called *text* below *parent*, its name, and its files.

    Raises:
        RefusedError: The name cannot be a package's, or the folder is in use.
    """
    if "/" in text or "\\" in text:
        folder, _, last = text.replace("\\", "/").rstrip("/").rpartition("/")
        raise RefusedError(
            f'"{text}" is a path, and a name is needed; try `falconws new {last or "NAME"} --in {folder or "/"}`.'
        )
    name = parse_name(text)
    refuse_as_package(name)
    _refuse_installed(name)
    if not parent.is_dir():
        raise RefusedError(f"There is no folder {parent} to make the project in; create it first.")
    root = parent / name.kebab
    if root.exists() or root.is_symlink():
        if not root.is_dir():
            raise RefusedError(f"{root} exists and is a file; choose another name.")
        if any(root.iterdir()):
            raise RefusedError(f"{root} exists and is not empty; choose another name, or empty the folder first.")
    recipe = Recipe("project", name.kebab)
    files = render_project(recipe)
    return root, name, Plan(files, recipe=recipe, generated=frozenset(file.path for file in files))


def render_project(recipe: Recipe) -> tuple[PlannedFile, ...]:
    """Return the pristine files of a project, as the installed templates make them; refuses nothing."""
    name = parse_name(recipe.name)
    context = {
        "distribution": name.kebab,
        "package": name.module,
        "env": name.constant,
        "falconws_version": version("falconws"),
    }
    tree = {**load_tree("project", "base"), **load_tree("project", "full")}
    return tuple(render_tree(tree, context))


def _refuse_installed(name: Name) -> None:
    try:
        installed = importlib.util.find_spec(name.module)
    except (ImportError, ValueError):
        installed = None
    # A spec without an origin is a folder on the import path that happens to have the name.
    if installed is None or installed.origin is None:
        return
    owners = packages_distributions().get(name.module)
    owner = f"the installed package {owners[0]}" if owners else installed.origin
    raise RefusedError(f'"{name.module}" is the name of {owner}, which the project would hide; try "my-{name.kebab}".')
