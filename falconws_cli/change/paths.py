"""Where a path of a project may lead: the one place that decides what commands may read, write and delete.

A cloned project is untrusted input: its recorded paths, template names and links must not lead out of it, nor into its
`.git`.
"""

import os
import stat
import unicodedata
from pathlib import Path, PurePosixPath

from falconws_cli.errors import CommandError


def check_path(path: PurePosixPath) -> None:
    """Refuse a path that can never be a file of a project, whatever is on the disk.

    Raises:
        CommandError: It is absolute, has `..` in it, or leads into `.git`.
    """
    if path.is_absolute() or not path.parts or any(part == ".." or "\\" in part or "\0" in part for part in path.parts):
        raise CommandError(f"{str(path)!r} is not a path inside the project. Nothing was written.")
    if any(_is_git(part) for part in path.parts):
        raise CommandError(f"{path} is inside .git, which falconws never changes. Nothing was written.")


def resolve_inside(root: Path, path: PurePosixPath) -> Path:
    """Return the location of *path* below *root*, with links in its folders resolved; call it just before use.

    A link at the end of the path is left as it is, and what it points to must be inside of the project too.

    Raises:
        CommandError: It leads out of the project or into `.git`, or is a device, a pipe or a socket.
    """
    check_path(path)
    real_root = os.path.realpath(root)
    real_parent = os.path.realpath(root / path.parent)
    place = Path(real_parent, path.name)
    for real in (real_parent, os.path.realpath(place)):
        inside = real == real_root or real.startswith(os.path.join(real_root, ""))
        if not inside or any(_is_git(part) for part in real[len(real_root) :].split(os.sep)):
            raise CommandError(
                f"{path} leads through a link to {real}, which falconws does not change. Nothing was written."
            )
    place = root / place.relative_to(real_root)
    try:
        mode = place.stat().st_mode
    except OSError:
        # There is no such file, or a link that leads nowhere.
        return place
    if not (stat.S_ISREG(mode) or stat.S_ISDIR(mode)):
        raise CommandError(f"{path} is neither a file nor a folder. Nothing was written.")
    return place


def _is_git(part: str) -> bool:
    # Compare as git does: some file systems ignore case, trailing dots and spaces, or invisible characters; others have
    # short names and streams (CVE-2014-9390, CVE-2019-1352).
    visible = part
    if not part.isascii():
        visible = "".join(character for character in part if unicodedata.category(character) != "Cf")
    return visible.partition(":")[0].rstrip(". ").lower() in (".git", "git~1")
