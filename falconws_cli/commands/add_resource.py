"""`falconws add-resource`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating
from falconws_cli.suggestions import Choice

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions

_PATTERNS = ("echo", "request-response", "feed", "duplex", "room", "blank", "http")


@click.command("add-resource", short_help="Add a resource, its tests and its route.")
@click.argument("name")
@click.option("--route", metavar="TEMPLATE", help="URI template.  [default: the name]")
@click.option(
    "--pattern",
    type=Choice(_PATTERNS),
    default="echo",
    show_default=True,
    help="The kind of conversation.",
)
@click.option("--subprotocol", metavar="TOKEN", help="Accept only clients that offer this subprotocol.")
@click.option("--http/--no-http", default=True, show_default=True, help="Also answer HTTP requests on the route.")
@click.option("--page/--no-page", default=True, show_default=True, help="With --pattern room: serve a page to try it.")
@click.option("--typed", is_flag=True, help="Declare the messages as types, which are validated and documented.")
@generating()
def command(
    name: str,
    route: str | None,
    pattern: str,
    subprotocol: str | None,
    http: bool,
    page: bool,
    typed: bool,
    write_options: WriteOptions,
) -> None:
    """Add a resource with its tests, and add its route to routes.py.

    With --typed, the resources of room, request-response, feed and duplex declare their messages in a module of their
    own: invalid messages are answered with an error, and `falconws asyncapi` describes the conversation.

    \b
    Patterns:
      echo              sends back each message
      request-response  sends one reply to each request
      feed              sends events as they happen
      duplex            receives and sends at the same time
      room              chat rooms with presence and recovery, and a page to try them; uses a hub
      blank             accepts the connection; the rest is up to you
      http              responds over HTTP only

    \b
    Examples:
      falconws add-resource ticker --pattern feed
      falconws add-resource "chat room" --route "/rooms/{room_id}/chat" --pattern duplex
      falconws add-resource chat --pattern room --no-page
      falconws add-resource words --pattern request-response --typed
      falconws add-resource orders --pattern http
      falconws add-resource device --route "/devices/{number:int}" --subprotocol wamp --no-http
    """
    from falconws_cli.generators import add

    options = {"route": route, "pattern": pattern, "subprotocol": subprotocol, "http": http}
    if click.get_current_context().get_parameter_source("page") is click.core.ParameterSource.COMMANDLINE:
        options["page"] = page
    if typed:
        options["typed"] = True
    sys.exit(add(Path.cwd(), "resource", name, options, write_options))
