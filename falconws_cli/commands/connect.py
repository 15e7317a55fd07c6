"""`falconws connect`."""

import sys
from pathlib import Path
from typing import Any

import click

from falconws_cli.commands.options import FloatRange, IntRange, quantity
from falconws_cli.completions import route_paths

_STEPS = {"sends": "send", "expects": "expect"}


class _InOrder(click.Command):
    """Records the order of --send and --expect, which click does not keep across options."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse *args*; the order goes to ``ctx.obj``."""
        if not ctx.resilient_parsing:
            _, _, order = self.make_parser(ctx).parse_args(list(args))
            ctx.obj = [parameter.name for parameter in order if parameter.name in _STEPS]
        return super().parse_args(ctx, args)


@click.command("connect", cls=_InOrder, short_help="Talk to a WebSocket, interactively or in scripts.")
@click.argument("where", metavar="URL|PATH", shell_complete=route_paths)
@click.option(
    "--port",
    type=IntRange(1, 65535),
    default=8000,
    show_default=True,
    help="Port of the local server, for a PATH.",
)
@click.option("--header", "headers", multiple=True, metavar='"NAME: VALUE"', help="Add a header to the handshake.")
@click.option(
    "--subprotocol",
    "subprotocols",
    multiple=True,
    metavar="TOKEN",
    help="Offer a subprotocol; the preferred one first.",
)
@click.option("--origin", metavar="ORIGIN", help='Origin of the page, as a browser sends it: "https://example.com".')
@click.option("--send", "sends", multiple=True, metavar="TEXT", help="Send a message.")
@click.option("--expect", "expects", multiple=True, metavar="TEXT|/REGEX/", help="Wait for a message; ignore others.")
@click.option("--text", "payload", flag_value="text", help="Send TEXT messages (the default).")
@click.option("--binary", "payload", flag_value="binary", help="Send the text in BINARY messages.")
@click.option("--hex", "payload", flag_value="hex", help="Send BINARY messages, typed in hexadecimal.")
@click.option("--msgpack", "payload", flag_value="msgpack", help="Send MessagePack, typed as JSON.")
@quantity(
    "--timeout",
    "timeout_s",
    FloatRange(0, min_open=True),
    10.0,
    "SECONDS",
    "Time limit of the handshake and of each --expect.",
)
@quantity("--wait", "wait_s", FloatRange(0), 1.0, "SECONDS", "Time to wait for replies when there is no --expect.")
@click.option("--insecure", is_flag=True, help="Trust any TLS certificate.")
@click.option("--cafile", metavar="FILE", help="Trust the certificate authorities in FILE (PEM).")
@click.option(
    "--asyncapi",
    "asyncapi_file",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="AsyncAPI document whose messages can be sent as /name field=value.",
)
@click.pass_context
def command(
    ctx: click.Context,
    where: str,
    port: int,
    headers: tuple[str, ...],
    subprotocols: tuple[str, ...],
    origin: str | None,
    sends: tuple[str, ...],
    expects: tuple[str, ...],
    payload: str | None,
    timeout_s: float,
    wait_s: float,
    insecure: bool,
    cafile: str | None,
    asyncapi_file: Path | None,
) -> None:
    """Talk to a WebSocket route.

    PATH is a route of the server on this machine that `falconws serve` has started. On a terminal, each line that you
    type is sent, and received messages appear above the input line; JSON and MessagePack are formatted. Ctrl+D and
    Ctrl+C close the connection normally.

    With --send, --expect or lines on standard input, the command runs as a script. Messages go to standard output,
    one per line: MessagePack as JSON, other BINARY messages in hexadecimal. --send and --expect run in the given order.
    TEXT is the whole message, or the same JSON value; /REGEX/ is searched for. Without --send, the lines of standard
    input are sent. The exit code is 0 when every --expect was met, and 1 when one was not met in time or when the
    server denied or dropped the connection.

    The messages of a typed route have names: `/say text=hello` sends {"type": "say", "text": "hello"}. On a terminal,
    they are those of the project's app; names and fields are completed, and the time to each reply is shown. Scripts
    need the document of the server, which --asyncapi names, and so does a terminal for any other server.

    \b
    Examples:
      falconws connect /echo
      falconws connect wss://example.com/feed --header "Authorization: Bearer token"
      falconws connect /echo --send ping --expect ping --timeout 2
      falconws connect /orders --msgpack --send '{"id": 7}' --expect '/"status": "done"/'
      tail -f app.log | falconws connect /logs --subprotocol lines
    """
    from falconws_cli.connect.run import connect
    from falconws_cli.output import Matters, output_matters

    output_matters(Matters.AT_ONCE)

    def find_document() -> dict[str, Any] | None:
        # It imports the app.
        from falconws_cli.contract import find_document

        return find_document(Path.cwd())

    document = None
    if asyncapi_file is not None:
        from falconws_cli.contract import read_document

        document = read_document(asyncapi_file)
    texts = {"sends": iter(sends), "expects": iter(expects)}
    sys.exit(
        connect(
            where,
            Path.cwd(),
            port=port,
            headers=headers,
            subprotocols=subprotocols,
            origin=origin,
            steps=[(_STEPS[name], next(texts[name])) for name in ctx.obj],
            payload=payload or "text",
            document=document,
            find_document=find_document,
            timeout_s=timeout_s,
            wait_s=wait_s,
            insecure=insecure,
            cafile=cafile,
        )
    )
