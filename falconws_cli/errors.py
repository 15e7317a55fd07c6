"""The errors that end a command: one line that says what is wrong and what to do.

click prints each as `Error: ...` on stderr, in the style of its own usage errors, and exits with the code.
"""

import click

from falconws_cli.exitcodes import ExitCode


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
