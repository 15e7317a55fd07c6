"""Finds and reads the project that a command works on, by [tool.falconws] in pyproject.toml. Must not write."""

import codecs
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError

_TARGET = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*:[A-Za-z_]\w*(\.[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class Project:
    """A folder whose pyproject.toml names the app to serve."""

    root: Path
    app: str
    """"module:attribute" of an app or a factory."""

    @property
    def package(self) -> str:
        """The import name of the app's package."""
        return self.app.split(":")[0].split(".")[0]

    @property
    def import_root(self) -> Path:
        """The folder to put on the import path: the root, or its src folder."""
        return self.root / "src" if self.exists(PurePosixPath("src", self.package)) else self.root

    @property
    def package_path(self) -> PurePosixPath:
        """The package's folder, relative to the root."""
        return PurePosixPath((self.import_root / self.package).relative_to(self.root).as_posix())

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
            raise CommandError(f"Cannot read {path}: {(error.strerror or str(error)).lower()}.") from error

    def exists(self, path: PurePosixPath) -> bool:
        return (self.root / path).exists()


def find_project(start: Path) -> Project | None:
    """Return the project that *start* is in, or None.

    Raises:
        CommandError: A pyproject.toml in it or above is not valid, or its [tool.falconws] is not.
    """
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
        return Project(folder, app)
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
    if not (project.root / project.package_path).is_dir():
        raise CommandError(
            f'[tool.falconws] says that the app is "{project.app}", but {project.root} has no package '
            f"{project.package}; correct the setting or create the package."
        )
