"""`falconws bench`."""

from pathlib import Path

import click

from falconws_cli.commands.options import FloatRange, IntRange, quantity
from falconws_cli.completions import route_paths


@click.command("bench", short_help="Put a WebSocket route under load.")
@click.argument("where", metavar="[URL|PATH]", shell_complete=route_paths, default="/echo")
@quantity("--connections", "connections", IntRange(1, 20_000), 32, "NUMBER", "Number of connections.")
@quantity(
    "--in-flight", "in_flight", IntRange(1, 1_000), 1, "NUMBER", "Messages of each connection that wait for a reply."
)
@quantity("--size", "size", IntRange(0, 16 * 1024 * 1024), 32, "BYTES", "Size of a message.")
@click.option("--message", metavar="TEXT", help="Message to send, instead of --size bytes of x.")
@click.option("--binary", is_flag=True, help="Send BINARY messages instead of TEXT.")
@click.option("--header", "headers", multiple=True, metavar='"NAME: VALUE"', help="Add a header to the handshake.")
@quantity("--seconds", "duration_s", FloatRange(0.1, 3600), 10.0, "SECONDS", "Duration of the test.")
@quantity("--warm-up", "warm_up_s", FloatRange(0, 60), 0.5, "SECONDS", "Duration of the load before the measurement.")
@click.option("--allow-remote", is_flag=True, help="Allow a URL of another machine.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object at the end, and nothing else.")
def command(
    where: str,
    connections: int,
    in_flight: int,
    size: int,
    message: str | None,
    binary: bool,
    headers: tuple[str, ...],
    duration_s: float,
    warm_up_s: float,
    allow_remote: bool,
    as_json: bool,
) -> None:
    """Put a WebSocket route under load, and show its rate, its latency and the CPU time per message.

    PATH (/echo by default) is a route of the project's app, which is served on a free port during the test. URL is a
    route of a server that is already running. The route must send one reply to each message, as an echo does.

    On Linux, the server's CPU time is shown when it runs on this machine as the same user. Ctrl+C ends the test with
    a summary. TLS certificates of this machine are not verified.

    \b
    Examples:
      falconws bench
      falconws bench /rooms/1/chat --connections 500 --message '{"text": "hello"}'
      falconws bench ws://127.0.0.1:8000/echo --in-flight 16 --size 4096 --seconds 30
      falconws bench /echo --json --seconds 5 > bench.json
    """
    from falconws_cli.bench.run import bench
    from falconws_cli.output import Matters, output_matters

    output_matters(Matters.AT_ONCE)
    bench(
        where,
        Path.cwd(),
        connections=connections,
        in_flight=in_flight,
        size=size,
        message=message,
        binary=binary,
        headers=headers,
        duration_s=duration_s,
        warm_up_s=warm_up_s,
        allow_remote=allow_remote,
        as_json=as_json,
    )
