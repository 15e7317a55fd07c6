"""Finds and reads the project that a command works on, by [tool.falconws] in pyproject.toml. Must not write."""

import codecs
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError, refused_by_system
from falconws_cli.package_folders import package_folders

_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Project:
    """A folder whose pyproject.toml names the app to serve."""

    root: Path
    app: str
    """"module:attribute" of an app or a factory."""

    folders: Mapping[str, PurePosixPath] = field(default_factory=dict)
    """Where packages are that are neither in the root nor in src/; see `package_folders`."""

    @property
    def package(self) -> str:
        """The import name of the app's package: "demo", or "acme.demo" where acme is a namespace package."""
        names = self.app.partition(":")[0].split(".")
        for length in range(1, len(names)):
            if self.exists(self.path_of(".".join(names[:length])) / "__init__.py"):
                return ".".join(names[:length])
        return names[0]

    def path_of(self, module: str) -> PurePosixPath:
        """Return the folder of a package, or the path of a module without its suffix, relative to the root."""
        names = module.split(".")
        for length in range(len(names), 0, -1):
            folder = self.folders.get(".".join(names[:length]))
            if folder is not None and self.exists(folder):
                return folder.joinpath(*names[length:])
        roots = [root for root in (self.folders.get(""), PurePosixPath("src")) if root is not None]
        there = (root for root in roots if self.exists(root / names[0]) or self.exists(root / f"{names[0]}.py"))
        return next(there, PurePosixPath()).joinpath(*names)

    @property
    def env_prefix(self) -> str:
        """The beginning of the project's environment variables: "DEMO"."""
        return self.package.replace(".", "_").upper()

    @property
    def import_root(self) -> Path:
        """The folder to put on the import path: the root, its src folder, or another one that has the packages."""
        top = self.package.partition(".")[0]
        path = self.path_of(top)
        # A package whose folder has another name can be imported only when it is installed.
        return self.root / path.parent if path.name == top else self.root

    @property
    def package_path(self) -> PurePosixPath:
        """The package's folder, relative to the root."""
        return self.path_of(self.package)

    def read(self, path: PurePosixPath) -> bytes | None:
        """Return the file's content, or None when there is no such file.

        Raises:
            CommandError: It cannot be read.
        """
        file = self.root / path
        try:
            if file.exists() and not (file.is_file() or file.is_dir()):
                raise CommandError(f"Cannot read {path}: it is neither a file nor a folder.")
            return file.read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise refused_by_system(f"read {path}", error) from error

    def exists(self, path: PurePosixPath) -> bool:
        return (self.root / path).exists()


def is_app_path(text: str) -> bool:
    """Return whether *text* is of the form "module:attribute"."""
    return _TARGET.fullmatch(text) is not None


def find_project(start: Path) -> Project | None:
    """Return the project that *start* is in, or None.

    Raises:
        CommandError: A pyproject.toml in it or above is not valid, or its [tool.falconws] is not.
    """
    import tomllib

    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            if _has_byte_order_mark(file):
                raise CommandError(
                    f"Cannot read {file}: it begins with a byte order mark, which TOML does not allow; save it as "
                    "UTF-8 without one."
                ) from error
            raise CommandError(f"Cannot read {file}: {' '.join(str(error).split())}.") from error
        table = document.get("tool", {}).get("falconws")
        if table is None:
            continue
        app = table.get("app") if isinstance(table, dict) else None
        if not isinstance(app, str) or not _TARGET.fullmatch(app):
            raise CommandError(
                f'{file}: [tool.falconws] needs the app as "module:attribute", such as '
                f'app = "{folder.name}.app:create_app".'
            )
        return Project(folder, app, package_folders(document))
    return None


def _has_byte_order_mark(file: Path) -> bool:
    try:
        return file.read_bytes().startswith(codecs.BOM_UTF8)
    except OSError:
        return False


def require_project(start: Path) -> Project:
    """Return the project that *start* is in.

    Raises:
        CommandError: There is none, or its pyproject.toml is not valid.
    """
    project = find_project(start)
    if project is None:
        raise CommandError(
            f"{start} is not in a falconws project: neither it nor a folder above has a pyproject.toml with "
            "[tool.falconws]; change into a project, or create one with `falconws new NAME`."
        )
    return project


def require_package(project: Project) -> None:
    """Check that the package for generated modules exists.

    Raises:
        CommandError: The package of the project's app does not exist.
    """
    if (project.root / project.package_path).is_dir():
        return
    module = project.package_path.with_suffix(".py")
    if project.exists(module):
        raise CommandError(
            f"The app is in the module {module}, and generated code goes into a package: create one, such as "
            f'{project.root.name.replace("-", "_")}/ with __init__.py, move the module into it, and correct "app" in '
            "[tool.falconws]."
        )
    raise CommandError(
        f'[tool.falconws] says that the app is "{project.app}", but {project.root} has no folder '
        f"{project.package_path}; correct the setting, create the package, or tell your build backend which folder has "
        "it."
    )
