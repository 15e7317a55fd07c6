"""The errors that end a command: one line that says what is wrong and what to do.

click prints each as `Error: ...` on stderr, in the style of its own usage errors, and exits with the code.
"""

from enum import IntEnum

import click


class ExitCode(IntEnum):
    """What a script may rely on.

    `falconws test` is the exception: it passes on pytest's own exit code.
    """

    OK = 0
    """Done, or nothing was left to do."""
    FAILURE = 1
    """The world refused: a port in use, an app that does not import, a file that cannot be written; a client that
    was denied, an expectation that was not met; a problem that `falconws doctor` found."""
    USAGE = 2
    """The command line cannot be carried out as typed: an option, a name or a route that is refused."""
    LEFT_TO_DO = 3
    """Done, and something is left for the user, which was printed: lines to add, an edited file that was kept,
    what an upgrade has left out, a warning of `falconws doctor`."""
    CONFLICT = 4
    """Files are in the way, and nobody was there to ask; nothing is written. `--force`, `--skip` and `--merge`
    decide."""
    MERGE_CONFLICTS = 5
    """Merged or upgraded, and places that both you and the templates changed have conflict markers; the files were
    named. `falconws status`: some still have."""
    UPGRADE_AVAILABLE = 6
    """`falconws upgrade --check`: the installed templates make something else than what the project has."""


class CommandError(click.ClickException):
    """The command cannot go on because of something outside its command line."""

    exit_code = ExitCode.FAILURE


class UnavailableError(CommandError):
    """What one generator needs is not installed; whatever others make can still be made."""


class RefusedError(CommandError):
    """What was typed cannot be carried out; nothing has been written."""

    exit_code = ExitCode.USAGE


class ConflictError(CommandError):
    """Files are in the way, and nobody was there to ask; nothing has been written."""

    exit_code = ExitCode.CONFLICT
