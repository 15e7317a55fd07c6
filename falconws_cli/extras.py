"""What the extra falconws[cli] brings, and the error of a command that needs it and does not have it.

The base installation has what production needs: the runtime, and the commands that serve, publish and inspect. Must not
import a module of the extra.
"""

from importlib.util import find_spec

from falconws_cli.errors import UnavailableError
from falconws_cli.origin import extra_command

GENERATORS = ("jinja2", "tomlkit")
TESTS = ("pytest", "pytest_asyncio")


def has_modules(*modules: str) -> bool:
    """Return whether all these top-level modules can be imported; imports none of them."""
    return all(find_spec(module) is not None for module in modules)


def require_modules(what: str, *modules: str) -> None:
    """Make sure that modules of the extra are installed.

    Args:
        what: What needs them, at the beginning of a sentence: "`falconws new`".
        modules: Top-level modules, such as "jinja2".

    Raises:
        UnavailableError: One is missing; the message says what to install.
    """
    if not has_modules(*modules):
        raise UnavailableError(
            f'{what} needs the extra "cli" of falconws, which is not installed: run `{extra_command("cli")}`.'
        )
