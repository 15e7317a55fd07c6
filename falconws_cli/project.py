"""The project that a command works on: found through [tool.falconws] in pyproject.toml, read, never written."""

import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError

_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Project:
    """A folder with a pyproject.toml that says which app it serves."""

    root: Path
    app: str
    """"module:attribute" of an app or a factory."""

    @property
    def package(self) -> str:
        """The import name of the package that the app lives in."""
        return self.app.split(":")[0].split(".")[0]

    @property
    def import_root(self) -> Path:
        """The folder that must be on the import path: the root, or its src folder."""
        return self.root / "src" if (self.root / "src" / self.package).is_dir() else self.root

    @property
    def package_path(self) -> PurePosixPath:
        """The package's folder, relative to the root."""
        return PurePosixPath((self.import_root / self.package).relative_to(self.root).as_posix())

    def read(self, path: PurePosixPath) -> bytes | None:
        """Return the file's content, or None when there is no such file.

        Raises:
            CommandError: It cannot be read.
        """
        try:
            return (self.root / path).read_bytes()
        except FileNotFoundError:
            return None
        except OSError as error:
            raise CommandError(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from error

    def exists(self, path: PurePosixPath) -> bool:
        return (self.root / path).exists()


def find_project(start: Path) -> Project | None:
    """Return the project that *start* is in, or None.

    Raises:
        CommandError: A pyproject.toml on the way is broken, or its [tool.falconws] is.
    """
    for folder in (start, *start.parents):
        file = folder / "pyproject.toml"
        if not file.is_file():
            continue
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
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
        return Project(folder, app)
    return None


def require_project(start: Path) -> Project:
    """Return the project that *start* is in.

    Raises:
        CommandError: There is none, or it is broken.
    """
    project = find_project(start)
    if project is None:
        raise CommandError(
            f"{start} is not in a falconws project: neither it nor a folder above has a pyproject.toml with "
            "[tool.falconws]; change into a project, or make one with `falconws new NAME`."
        )
    return project


def require_package(project: Project) -> None:
    """Make sure that generated modules have a package to go to.

    Raises:
        CommandError: The package that the project's app names is not there.
    """
    if not (project.root / project.package_path).is_dir():
        raise CommandError(
            f'[tool.falconws] says that the app is "{project.app}", but {project.root} has no package '
            f"{project.package}; correct the one or create the other."
        )
