"""`falconws completion`."""

import click

from falconws_cli.suggestions import Choice

INSTALLATION = {
    "bash": """echo 'eval "$(falconws completion bash)"' >> ~/.bashrc""",
    "zsh": """echo 'eval "$(falconws completion zsh)"' >> ~/.zshrc""",
    "fish": "falconws completion fish > ~/.config/fish/completions/falconws.fish",
}
"""What installs it for good, for each shell."""


@click.command("completion", short_help="Print what makes a shell complete falconws.")
@click.argument("shell", type=Choice(tuple(INSTALLATION)), required=False)
@click.pass_context
def command(ctx: click.Context, shell: str | None) -> None:
    """Print a script that makes SHELL complete commands, options, and names that the project has.

    \b
    Install it for good (in a new shell it works):
      bash  echo 'eval "$(falconws completion bash)"' >> ~/.bashrc
      zsh   echo 'eval "$(falconws completion zsh)"' >> ~/.zshrc    (after compinit)
      fish  falconws completion fish > ~/.config/fish/completions/falconws.fish

    falconws must be on the PATH, as in an activated virtual environment. bash must be 4.4 or newer.

    \b
    Examples:
      eval "$(falconws completion bash)"
      falconws completion zsh > "${fpath[1]}/_falconws"
      falconws completion fish | source
    """
    if shell is None:
        raise _which_shell()
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "falconws", "_FALCONWS_COMPLETE").source())


def _which_shell() -> click.ClickException:
    """Return the error for a command line without a shell: how to install it in the user's, where that is known."""
    import os
    from pathlib import Path

    from falconws_cli.errors import RefusedError
    from falconws_cli.suggestions import listed

    own = Path(os.environ.get("SHELL", "")).stem
    if own in INSTALLATION:
        return RefusedError(f"Name the shell. To install completion in {own}, run: {INSTALLATION[own]}")
    return RefusedError(f"Name the shell: {listed(tuple(INSTALLATION))}.")
