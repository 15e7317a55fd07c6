"""`falconws add-media-handler`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from falconws_cli.commands.options import generating
from falconws_cli.suggestions import Choice

if TYPE_CHECKING:
    from falconws_cli.change.write_options import WriteOptions

_CODECS = ("json", "orjson", "rapidjson", "msgspec", "msgpack", "cbor", "protobuf", "custom")


@click.command("add-media-handler", short_help="Add a media handler and its tests.")
@click.argument("name")
@click.option("--payload", type=Choice(("text", "binary")), required=True, help="The kind of messages that it handles.")
@click.option("--codec", type=Choice(_CODECS), required=True, help="The format of the payloads.")
@generating()
def command(name: str, payload: str, codec: str, write_options: WriteOptions) -> None:
    """Add a media handler with its tests, register it in app.py, and add its dependency.

    \b
    Codecs:
      text and binary  json, orjson, rapidjson, msgspec (MessagePack when binary), custom
      binary only      msgpack, cbor, protobuf

    \b
    Examples:
      falconws add-media-handler fast-json --payload text --codec orjson
      falconws add-media-handler orders --payload binary --codec protobuf
    """
    from falconws_cli.generators import add

    sys.exit(add(Path.cwd(), "media-handler", name, {"payload": payload, "codec": codec}, write_options))
