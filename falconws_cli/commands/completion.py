"""`falconws completion`."""

import click


@click.command("completion", short_help="Print what makes a shell complete falconws.")
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def command(ctx: click.Context, shell: str) -> None:
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
    from click.shell_completion import get_completion_class

    kind = get_completion_class(shell)
    assert kind is not None
    click.echo(kind(ctx.find_root().command, {}, "falconws", "_FALCONWS_COMPLETE").source())
