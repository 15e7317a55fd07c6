"""`falconws completion`."""

import click

from falconws_cli.suggestions import Choice

INSTALLATION = {
    "bash": """echo 'eval "$(falconws completion bash)"' >> ~/.bashrc""",
    "zsh": """echo 'eval "$(falconws completion zsh)"' >> ~/.zshrc""",
    "fish": "falconws completion fish > ~/.config/fish/completions/falconws.fish",
}
"""The command that installs completion permanently, for each shell."""


@click.command("completion", short_help="Print the completion script for a shell.")
@click.argument("shell", type=Choice(tuple(INSTALLATION)), required=False)
@click.pass_context
def command(ctx: click.Context, shell: str | None) -> None:
    """Print a script that completes commands, options and the project's names in SHELL.

    \b
    To install it permanently, run this, and start a new shell:
      bash  echo 'eval "$(falconws completion bash)"' >> ~/.bashrc
      zsh   echo 'eval "$(falconws completion zsh)"' >> ~/.zshrc    (after compinit)
      fish  falconws completion fish > ~/.config/fish/completions/falconws.fish

    falconws must be on the PATH, as in an activated virtual environment. bash 4.4 or newer is needed.

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
    """Return the error for a missing SHELL; it says how to install completion in the user's own shell, if known."""
    import os
    from pathlib import Path

    from falconws_cli.errors import RefusedError
    from falconws_cli.suggestions import listed

    own = Path(os.environ.get("SHELL", "")).stem
    if own in INSTALLATION:
        return RefusedError(f"Name the shell. To install completion in {own}, run: {INSTALLATION[own]}")
    return RefusedError(f"Name the shell: {listed(tuple(INSTALLATION))}.")
