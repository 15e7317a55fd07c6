"""What generators of single pieces share: the project's files as text, and new files that must not exist."""

from collections.abc import Iterable
from pathlib import PurePosixPath

from falconws_cli.errors import RefusedError
from falconws_cli.plan import PlannedFile, PlannedRegistration
from falconws_cli.project import Project
from falconws_cli.register import Outcome, Registration


def refuse_existing(project: Project, files: Iterable[PlannedFile], what: str) -> None:
    """Refuse to generate what is there.

    Raises:
        RefusedError: One of *files* exists with other content; the message names it.
    """
    for file in files:
        current = project.read(file.path)
        if current is not None and current != file.data:
            raise RefusedError(
                f"There is already {what}: {file.path} exists and differs from what would be generated; "
                "choose another name, or remove the file first."
            )


def read_text(project: Project, path: PurePosixPath) -> str | None:
    """Return the file's text, line ends untouched, or None when it is missing or not UTF-8."""
    data = project.read(path)
    try:
        return None if data is None else data.decode()
    except UnicodeDecodeError:
        return None


def planned_edit(
    path: PurePosixPath, before: str, registration: Registration
) -> tuple[list[PlannedFile], PlannedRegistration]:
    """Return the edit that a registration means for its file, if any, and the registration."""
    files = []
    if registration.outcome is Outcome.REGISTERED:
        files.append(PlannedFile(path, registration.text.encode(), before=before.encode()))
    return files, PlannedRegistration(path, registration)


def initial_packages(project: Project, *names: str) -> list[PlannedFile]:
    """Return an `__init__.py` for each subpackage of the project's package that has none."""
    paths = [project.package_path / name / "__init__.py" for name in names]
    return [PlannedFile(path, b"") for path in paths if not project.exists(path)]
