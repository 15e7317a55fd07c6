"""`falconws publish`."""

from pathlib import Path

import click


@click.command("publish", short_help="Publish a message to a room.")
@click.argument("room")
@click.argument("message")
@click.option("--url", metavar="URL", help="Broker of the hub, such as redis://localhost:6379/0.")
@click.option("--json", "as_json", is_flag=True, help="Refuse a MESSAGE that is not JSON.")
@click.option("--binary", is_flag=True, help="Send a BINARY message.")
@click.option("--key", metavar="KEY", help="Key of the message, for subscribers with the policy conflate.")
def command(room: str, message: str, url: str | None, as_json: bool, binary: bool, key: str | None) -> None:
    """Publish MESSAGE to all subscribers of ROOM, in all processes, and print its position.

    The broker is taken from --url, else from the variable FALCONWS_HUB_URL, else from the project: its own variable
    (DEMO_HUB_URL for a project named demo), or its settings.py. If MESSAGE is "-", it is read from standard input.

    \b
    Examples:
      falconws publish room:42 "We are back" --url redis://localhost:6379/0
      falconws publish prices '{"tea": 3}' --json --key tea
      falconws publish thumbnails - --binary < image.png
    """
    from falconws_cli.output import Matters, output_matters
    from falconws_cli.publish import publish

    output_matters(Matters.NEVER)
    publish(room, message, Path.cwd(), url=url, as_json=as_json, binary=binary, key=key)
