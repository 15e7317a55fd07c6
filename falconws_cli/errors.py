"""The errors that end a command, each one line that says what is wrong and what to do, and the exit codes.

    CommandError            1  the command failed
    +-- UnavailableError    1  a package that one command or generator needs is missing
    +-- RefusedError        2  the arguments cannot be carried out; nothing was written
    +-- ConflictError       4  files exist already; nothing was written

click prints each as `Error: ...` on stderr, and exits with the code.
"""

from enum import IntEnum

import click


class ExitCode(IntEnum):
    """The exit codes. `falconws test` returns the exit code of pytest instead."""

    OK = 0
    """Done, or there was nothing to do."""
    FAILURE = 1
    """The command failed: a port in use, an app that does not import, a file that cannot be written, a denied
    handshake, an expectation that was not met, a problem that `falconws doctor` found (with `--strict`, a warning)."""
    USAGE = 2
    """An option, a name or a route is not valid; nothing was written."""
    LEFT_TO_DO = 3
    """Done, and something that was printed is left for the user: lines to add, an edited file that was kept, a part
    that an upgrade skipped. Or nothing was done, because generated code is not where it was made."""
    CONFLICT = 4
    """Files exist already, and there is no terminal to ask on; nothing was written. `--force`, `--skip` and
    `--merge` decide."""
    MERGE_CONFLICTS = 5
    """Merged or upgraded, with conflict markers in the listed files. `falconws status`: some files still have them."""
    UPGRADE_AVAILABLE = 6
    """`falconws upgrade --check`: the installed templates differ from those that made the project."""


class CommandError(click.ClickException):
    """The command failed for a reason outside its command line."""

    exit_code = ExitCode.FAILURE


def refused_by_system(action: str, error: OSError) -> CommandError:
    """Return the error for an *action*, such as "read demo/app.py", that the operating system has refused."""
    return CommandError(f"Cannot {action}: {(error.strerror or str(error)).lower()}.")


class UnavailableError(CommandError):
    """A package that one command or generator needs is not installed; the others still work."""


class RefusedError(CommandError):
    """The arguments cannot be carried out; nothing was written."""

    exit_code = ExitCode.USAGE


class ConflictError(CommandError):
    """Files exist already, and there is no terminal to ask on; nothing was written."""

    exit_code = ExitCode.CONFLICT
