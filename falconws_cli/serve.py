"""Serve a project: find its app, build the server's settings, and say which page of a new project to open.

Knows nothing of click's commands.
"""

from __future__ import annotations

import http.client
import os
import socket
import threading
import time
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from falconws.hosts import LOCAL_HOSTS, own_name
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.extras import require_modules
from falconws_cli.output import wants_color
from falconws_cli.project import find_project, require_project

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

    from falconws.server import TlsSettings

PORT = 8000
_HOST = "127.0.0.1"
_START_S = 30.0
_RELOAD_INCLUDES = ("*.html", "*.jinja", "*.css", "*.js", "*.json", "*.toml")

_Settings = TypeVar("_Settings", bound="DataclassInstance")


def serve_target(target: str | None, start: Path, **options: Any) -> None:
    """Serve the project around *start*, or the app that *target* names, until a signal stops it.

    Args:
        target: "module:attribute"; None takes the project's app.
        start: The folder to look for the project from.
        options: Arguments of falconws.server.run(), and the fields of its settings classes.

    Raises:
        CommandError: There is no project, an option is invalid, the app cannot be loaded, or the address is taken.
    """
    project = require_project(start) if target is None else find_project(start)
    app = target or (project.app if project else "")
    folder = project.import_root if project else start
    watched, patterns = options.pop("reload_dirs", ()), options.pop("reload_includes", ())
    if options.get("reload"):
        require_modules("--reload", "watchfiles")
        # Not the whole project: a virtual environment in it would cost a core.
        package = project.root / project.package_path if project else start
        options["reload_dirs"] = list(watched) or [str(package if package.is_dir() else folder)]
        options["reload_includes"] = [*_RELOAD_INCLUDES, *patterns]
        # A page of another site can let its name resolve to this machine (DNS rebinding).
        options["allowed_hosts"] = [*LOCAL_HOSTS, *own_name(options["host"]), *options.get("allowed_hosts", ())]
    elif watched or patterns:
        raise RefusedError("--reload-dir and --reload-include need --reload.")
    _run(app, app_dir=str(folder), **options)


def serve_new_project(root: Path) -> int:
    """Serve a new project with its console; as soon as it answers, print the URL to open."""
    port, taken = _free_port()
    if taken:
        click.echo(f"Port {PORT} is taken; using port {port}.")
    # A daemon: it must not keep the process alive if the server fails to start.
    threading.Thread(target=_greet_when_up, args=(port,), daemon=True).start()
    # Without watchfiles, nothing is restarted; the page is the same.
    serve_target(None, root, host=_HOST, port=port, reload=find_spec("watchfiles") is not None, console=True)
    return 0


def _run(target: str, **options: Any) -> None:
    from falconws.server import (
        AdmissionSettings,
        ConnectionSettings,
        DeflateSettings,
        HttpSettings,
        StartError,
        run,
    )

    if "deflate" in options:
        options["deflate"] = DeflateSettings() if options["deflate"] else None
    try:
        connection = _settings(ConnectionSettings, options)
        http = _settings(HttpSettings, options)
        # Without names, all are answered.
        options["allowed_hosts"] = options.get("allowed_hosts") or None
        admission = _settings(AdmissionSettings, options)
        tls = _tls_settings(options)
    except ValueError as error:
        raise CommandError(f"{error}.") from error
    try:
        run(
            target,
            use_colors=wants_color(os.environ),
            connection=connection,
            http=http,
            admission=admission,
            tls=tls,
            **options,
        )
    except StartError as error:
        raise CommandError(str(error)) from error


def _tls_settings(options: dict[str, Any]) -> TlsSettings | None:
    """Return the settings for TLS, made of the *options* for it; remove these. None without a certificate."""
    from falconws.server import TlsSettings

    path = options.pop("keyfile_password_file", None)
    if path is not None:
        if options.get("keyfile_password"):
            raise CommandError("--ssl-keyfile-password and --ssl-keyfile-password-file cannot be combined.")
        try:
            with Path(path).open(encoding="utf-8") as file:
                options["keyfile_password"] = file.readline().rstrip("\r\n")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"Cannot read the password file {path}: {error}.") from error
    if options.get("certfile"):
        return _settings(TlsSettings, options)
    for field in fields(TlsSettings):
        if options.pop(field.name, None) is not None:
            flag = f"--ssl-{field.name.replace('_', '-')}"
            raise CommandError(f"{flag} needs --ssl-certfile: name the certificate too.")
    return None


def _settings(kind: type[_Settings], options: dict[str, Any]) -> _Settings:
    """Return an object of the settings class *kind*, made of the *options* that are its fields; remove these."""
    names = [field.name for field in fields(kind) if field.name in options]
    return kind(**{name: options.pop(name) for name in names})


def _free_port() -> tuple[int, bool]:
    """Return the default port, or a free one and True if the default one is taken."""
    for port in (PORT, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((_HOST, port))
                probe.listen(1)
            except OSError:
                continue
            return probe.getsockname()[1], port != PORT
    raise CommandError(f"{_HOST} has no free port.")


def _greet_when_up(port: int) -> None:
    deadline = time.monotonic() + _START_S
    while time.monotonic() < deadline:
        connection = http.client.HTTPConnection(_HOST, port, timeout=_START_S)
        try:
            connection.request("GET", "/healthz")
            connection.getresponse()
        except OSError:
            time.sleep(0.05)
            continue
        finally:
            connection.close()
        click.echo(f"\nOpen http://{_HOST}:{port}/ in a browser. Ctrl+C stops the server.")
        return
