"""`falconws serve`. Each option that limits something has the name of its field in one of the server's settings."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from falconws_cli.commands.options import FloatRange, IntRange, quantity
from falconws_cli.suggestions import Choice

_LOG_LEVELS = ("critical", "error", "warning", "info", "debug", "trace")
_ENGINES = ("auto", "picows", "websockets-sansio", "websockets", "wsproto")


def _seconds(flag: str, name: str, default: float, what: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Return an option for a time in seconds; 0 on the command line is None for the server."""
    return quantity(flag, name, FloatRange(0), default, "SECONDS", f"{what}; 0 turns it off.", zero_is_none=True)


class OctalMode(click.ParamType[int]):
    """Permissions in octal, such as 660."""

    name = "mode"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the permissions as a number."""
        if not re.fullmatch("(0o?)?[0-7]{3}", str(value)):
            self.fail(f'"{value}" is not a mode such as 660.', param, ctx)
        return int(value, 8)


def _host_from_environment() -> str:
    """Return HOST if it is an address: some shells and build tools set it to the name or type of the machine."""
    import ipaddress
    import os

    host = os.environ.get("HOST", "")
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host if host == "localhost" else "127.0.0.1"


def _read_env_file(ctx: click.Context, parameter: click.Parameter, value: str | None) -> None:
    if value is not None and not ctx.resilient_parsing:
        from falconws_cli.envfile import read_env_file

        read_env_file(Path(value))


@click.command("serve", short_help="Serve the project's app.")
@click.argument("target", metavar="[MODULE:ATTR]", required=False)
@click.option(
    "--host",
    default=_host_from_environment,
    show_default="HOST from the environment, else 127.0.0.1",
    help="Address to listen on.",
)
@click.option(
    "--port",
    type=IntRange(0, 65535),
    envvar="PORT",
    default=8000,
    show_default="PORT from the environment, else 8000",
    help="Port to listen on; 0 takes a free one.",
)
@click.option(
    "--env-file",
    metavar="FILE",
    is_eager=True,
    expose_value=False,
    callback=_read_env_file,
    help="File of environment variables, NAME=VALUE; those that are set already stay.",
)
@click.option("--fd", type=IntRange(0), metavar="NUMBER", help="Open socket to listen on instead of a port.")
@click.option("--uds", metavar="PATH", help="Unix socket to listen on instead of a port.")
@click.option(
    "--uds-mode",
    type=OctalMode(),
    default="660",
    show_default=True,
    metavar="MODE",
    help="Permissions of the Unix socket, in octal.",
)
@click.option("--reload", is_flag=True, help="Restart when a file of the project's package changes.")
@click.option(
    "--reload-dir", "reload_dirs", metavar="FOLDER", multiple=True, help="Watch this folder instead; can be repeated."
)
@click.option(
    "--reload-include",
    "reload_includes",
    metavar="PATTERN",
    multiple=True,
    help="Watch files such as '*.yaml' too; can be repeated.  [default: Python, HTML, CSS, JavaScript, JSON, TOML]",
)
@click.option(
    "--console/--no-console",
    default=None,
    help="Serve the console at /_falconws/: a page on which you talk to each WebSocket.  [default: with --reload]",
)
@click.option("--workers", type=IntRange(1), default=1, show_default=True, help="Number of processes.")
@click.option("--log-level", type=Choice(_LOG_LEVELS), default="info", show_default=True)
@click.option("--log-config", metavar="FILE", help="Logging configuration (.json, .yaml or .ini).")
@click.option(
    "--log-redact",
    default="token,access_token",
    show_default=True,
    metavar="NAMES",
    callback=lambda _context, _parameter, value: [name.strip() for name in value.split(",") if name.strip()],
    help="Query parameters whose values are masked in the log, separated by commas.",
)
@click.option(
    "--access-log/--no-access-log",
    default=True,
    show_default=True,
    help="Log each HTTP request and each WebSocket handshake.",
)
@click.option("--ssl-certfile", "certfile", metavar="FILE", help="Certificate chain (PEM); serves https and wss.")
@click.option("--ssl-keyfile", "keyfile", metavar="FILE", help="Private key (PEM), if the certificate file lacks it.")
@click.option("--ssl-keyfile-password", "keyfile_password", metavar="TEXT", help="Password of the private key.")
@click.option(
    "--ssl-keyfile-password-file",
    "keyfile_password_file",
    metavar="FILE",
    help="File whose first line is the password of the private key.",
)
@click.option("--ssl-ca-certs", "ca_certs", metavar="FILE", help="Authorities of client certificates (PEM).")
@click.option(
    "--ssl-cert-reqs",
    "cert_reqs",
    type=Choice(("none", "optional", "required")),
    help="Whether clients need a certificate; required with --ssl-ca-certs, else none.",
)
@click.option("--server-header/--no-server-header", default=True, show_default=True, help="Send a Server header.")
@click.option(
    "--lifespan",
    type=Choice(("auto", "on", "off")),
    default="auto",
    show_default=True,
    help="on refuses to start an app without lifespan; off does not run the lifespan.",
)
@click.option(
    "--root-path",
    metavar="PATH",
    default="",
    help="Path below which a proxy serves the app, such as /api; it works whether or not the proxy removes it.",
)
@click.option(
    "--forwarded-allow-ips",
    metavar="ADDRESSES",
    help="Proxies whose X-Forwarded-* headers are trusted, separated by commas; * trusts all.",
)
@click.option(
    "--engine",
    type=Choice(_ENGINES),
    default="auto",
    show_default=True,
    help="WebSocket engine; auto is picows if it can be imported.",
)
@click.option(
    "--allowed-host",
    "allowed_hosts",
    multiple=True,
    metavar="NAME",
    help="Answer only requests for this host name, such as example.com or *.example.com; can be repeated.  "
    "[default: every name; with --reload, localhost and the name of --host]",
)
@click.option(
    "--only", type=Choice(("http", "ws")), help="Serve this kind of traffic only, and answer the other with 421."
)
@quantity(
    "--drain",
    "drain_s",
    FloatRange(0),
    10.0,
    "SECONDS",
    "Time over which connections are closed after Ctrl+C or SIGTERM.",
)
@quantity(
    "--drain-accept",
    "drain_accept_s",
    FloatRange(0),
    0.0,
    "SECONDS",
    "Time before that in which clients are still accepted, while the readiness path answers 503.",
)
@quantity("--ws-max-size", "max_message_bytes", IntRange(1), 1024 * 1024, "BYTES", "Largest message from a client.")
@quantity(
    "--limit-unread",
    "max_total_unread_bytes",
    IntRange(0),
    256 * 1024 * 1024,
    "BYTES",
    "Largest sum of the messages that a process has read and the app has not received yet; 0 turns it off.",
    zero_is_none=True,
)
@_seconds("--ws-ping-interval", "ping_interval_s", 20.0, "Time between keepalive pings")
@_seconds("--ws-ping-timeout", "ping_timeout_s", 20.0, "Time for a client to answer a ping")
@_seconds(
    "--ws-send-timeout", "send_timeout_s", 10.0, "Time for which a client may read nothing while data waits for it"
)
@_seconds("--handshake-timeout", "handshake_timeout_s", 10.0, "Time for a request to arrive, and to be accepted")
@quantity("--limit-body", "max_body_bytes", IntRange(0), 16 * 1024 * 1024, "BYTES", "Largest body of an HTTP request.")
@quantity(
    "--limit-headers",
    "max_header_lines",
    IntRange(1),
    100,
    "NUMBER",
    "Largest number of header lines of a request.",
)
@quantity(
    "--limit-header",
    "max_header_bytes",
    IntRange(1),
    8192,
    "BYTES",
    "Largest request line, and largest header of a request.",
)
@quantity(
    "--limit-head",
    "max_head_bytes",
    IntRange(1),
    32_768,
    "BYTES",
    "Largest head of a request: its request line and all headers.",
)
@_seconds("--timeout-body", "body_timeout_s", 30.0, "Time for which the body of a request may make no progress")
@_seconds("--timeout-response", "response_timeout_s", 30.0, "Time for which a client may take nothing of a response")
@quantity(
    "--min-transfer-rate",
    "min_transfer_bytes_per_s",
    IntRange(0),
    512,
    "BYTES",
    "What a client has to send of a body, or take of a response, each second on average.",
)
@quantity(
    "--timeout-keep-alive",
    "keep_alive_timeout_s",
    FloatRange(0, min_open=True),
    5.0,
    "SECONDS",
    "Time for which an HTTP connection stays open without a request.",
)
@click.option("--deflate", is_flag=True, help="Compress messages (permessage-deflate).")
@click.option(
    "--limit-connections",
    type=IntRange(1),
    metavar="NUMBER",
    help="Largest number of WebSockets and HTTP requests at a time in one process; more get 503.",
)
@click.option(
    "--limit-connections-per-ip",
    type=IntRange(1),
    metavar="NUMBER",
    help="The same for one client address.",
)
@click.option(
    "--ipv6-prefix",
    type=IntRange(1, 128),
    default=64,
    show_default=True,
    metavar="BITS",
    help="Bits of an IPv6 address that count as one client address.",
)
@click.option(
    "--readiness-path",
    default="/readyz",
    show_default=True,
    metavar="PATH",
    callback=lambda _context, _parameter, value: None if value.lower() in ("", "off") else value,
    help="Path at which the server says whether it can take clients; off turns it off.",
)
def command(target: str | None, **options: Any) -> None:
    """Serve the project's app, from any folder of the project, or the app MODULE:ATTR.

    MODULE:ATTR names an ASGI app or a factory of one, importable from the project or from here.

    \b
    Examples:
      falconws serve --reload
      falconws serve --host 0.0.0.0 --port 8080 --workers 4
      falconws serve demo.asgi:app --ssl-certfile cert.pem --ssl-keyfile key.pem
    """
    from falconws_cli.output import Matters, output_matters
    from falconws_cli.serve import serve_target

    output_matters(Matters.NEVER)
    serve_target(target, Path.cwd(), **options)
