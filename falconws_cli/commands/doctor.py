"""`falconws doctor`."""

import sys
from pathlib import Path

import click

from falconws_cli.commands.options import IntRange


@click.command("doctor", short_help="Check the installation and the project.")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to serve the app on.")
@click.option("--port", type=IntRange(1, 65535), default=8000, show_default=True, help="Port to serve the app on.")
@click.option("--strict", is_flag=True, help="Fail for warnings too.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def command(host: str, port: int, strict: bool, as_json: bool) -> None:
    """Check everything that serving the project needs. Each line is ok, a warning or a problem, and says what to do.

    Checks versions, the WebSocket engine, the port, generated files, dependencies, settings, the import of the app,
    its routes, and the brokers of its hub. The app is imported in a process of its own, with this environment.

    The exit code is 1 if there is a problem, or with --strict a warning; otherwise it is 0.

    \b
    Examples:
      falconws doctor
      falconws doctor --port 80 --host 0.0.0.0
      falconws doctor --strict --json
    """
    from falconws_cli.doctor.run import examine

    sys.exit(examine(Path.cwd(), host=host, port=port, strict=strict, as_json=as_json))
