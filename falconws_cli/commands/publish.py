"""`falconws publish`."""

from pathlib import Path

import click


@click.command("publish", short_help="Send a message to all who follow a room.")
@click.argument("room")
@click.argument("message")
@click.option("--url", metavar="URL", help="Broker of the hub, such as redis://localhost:6379/0.")
@click.option("--json", "as_json", is_flag=True, help="Refuse a MESSAGE that is not JSON.")
@click.option("--binary", is_flag=True, help="Send a BINARY message.")
@click.option("--key", metavar="KEY", help="What the message is about, for subscribers with the policy conflate.")
def command(room: str, message: str, url: str | None, as_json: bool, binary: bool, key: str | None) -> None:
    """Send MESSAGE to all who follow ROOM, in all processes, and print the position that it was given.

    The broker is that of --url; otherwise that of the variable FALCONWS_HUB_URL, or, in a project, of its own (for a
    project named demo: DEMO_HUB_URL), or of its settings.py. With "-" for MESSAGE, it is read from the standard input.

    \b
    Examples:
      falconws publish room:42 "We are back" --url redis://localhost:6379/0
      falconws publish prices '{"tea": 3}' --json --key tea
      falconws publish thumbnails - --binary < image.png
    """
    from falconws_cli.publish import publish

    publish(room, message, Path.cwd(), url=url, as_json=as_json, binary=binary, key=key)
