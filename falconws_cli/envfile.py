"""Reads environment variables from a file, as `docker run --env-file` does. Must not know what they mean."""

import os
import re
from pathlib import Path

from falconws_cli.errors import CommandError, RefusedError, refused_by_system

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)\s*=\s*(.*)")


def read_env_file(file: Path) -> None:
    """Set the variables in *file* that are not in the environment yet.

    A line is NAME=VALUE; a value may be in quotation marks. Empty lines and lines that begin with # are ignored.

    Raises:
        CommandError: The file cannot be read.
        RefusedError: A line is not of this form; the message has its number and not its text, which may be a secret.
    """
    try:
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise refused_by_system(f"read {file}", error) from error
    except UnicodeDecodeError as error:
        raise CommandError(f"Cannot read {file}: it is not UTF-8.") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        found = _LINE.fullmatch(line.strip())
        if found is None:
            raise RefusedError(f"{file}, line {number}, is not of the form NAME=VALUE.")
        name, value = found.groups()
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        os.environ.setdefault(name, value)
