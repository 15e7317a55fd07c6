"""The exit codes of every command: the one place that defines and documents them."""

from enum import IntEnum


class ExitCode(IntEnum):
    """What a script may rely on.

    `falconws test` is the exception: it passes on pytest's own exit code.
    """

    OK = 0
    """Done, or nothing was left to do."""
    FAILURE = 1
    """The world refused: a port in use, an app that does not import, a file that cannot be written."""
    USAGE = 2
    """The command line cannot be carried out as typed: an option, a name or a route that is refused."""
    REGISTER_BY_HAND = 3
    """The files are written, but a registration found no safe place; its lines were printed to add by hand."""
    CONFLICT = 4
    """Files are in the way, and nobody was there to ask; nothing is written. --force, --skip and --merge decide."""
