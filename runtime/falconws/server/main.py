"""`run()`: check the options, bind the listener, print its URL, and serve until a signal. Puts all parts together."""

import contextlib
import socket
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import Any, Literal

import uvicorn
from uvicorn.config import LOG_LEVELS
from uvicorn.supervisors import ChangeReload

from falconws.console import PATH as CONSOLE_PATH
from falconws.hosts import LOCAL_HOSTS, own_name
from falconws.log_text import REDACTED_NAMES
from falconws.server.admission import AdmissionSettings
from falconws.server.config import ServerConfig
from falconws.server.engine import choose_engine
from falconws.server.errors import StartError
from falconws.server.forwarded import TrustedProxies
from falconws.server.http_settings import HttpSettings
from falconws.server.importer import load_application
from falconws.server.server import Server
from falconws.server.sockets import adopt, bind_tcp, bind_unix, identity_of, is_unix, reach_of, remove_unix, url_of
from falconws.server.tls import TlsSettings
from falconws.server.websocket.settings import ConnectionSettings
from falconws.server.workers import Supervisor

_RELOAD_DRAIN_S = 0.5


def run(
    app: str,
    *,
    factory: bool = False,
    host: str = "127.0.0.1",
    port: int = 8000,
    fd: int | None = None,
    uds: str | None = None,
    uds_mode: int = 0o660,
    app_dir: str | None = None,
    reload: bool = False,
    reload_dirs: Sequence[str] = (),
    reload_includes: Sequence[str] = (),
    console: bool | None = None,
    workers: int = 1,
    log_level: str = "info",
    log_config: str | None = None,
    log_redact: Sequence[str] = REDACTED_NAMES,
    access_log: bool = True,
    use_colors: bool | None = None,
    server_header: bool = True,
    root_path: str = "",
    lifespan: Literal["auto", "on", "off"] = "auto",
    forwarded_allow_ips: str | None = None,
    engine: str = "auto",
    drain_s: float = 10.0,
    drain_accept_s: float = 0.0,
    connection: ConnectionSettings | None = None,
    http: HttpSettings | None = None,
    admission: AdmissionSettings | None = None,
    tls: TlsSettings | None = None,
) -> None:
    """Serve *app* until SIGINT or SIGTERM, and return when everything has ended.

    Prints one line with the URL (the real port if *port* is 0) and the WebSocket engine.

    Args:
        app: "module:attribute" of an ASGI app, or of a factory that returns one.
        factory: The attribute is a factory, even if it could be called with arguments.
        host: Address to listen on; "::" and "0.0.0.0" listen on all interfaces.
        port: TCP port; 0 takes a free one.
        fd: Number of an open socket to listen on instead, such as 3 for socket activation by systemd.
        uds: Path of a Unix socket to listen on instead of host and port.
        uds_mode: Permissions of the Unix socket. By default a proxy must run as the same user or be in its group.
        app_dir: Folder to put at the front of the import path; None leaves the path alone.
        reload: Restart when a file changes.
        reload_dirs: Folders to watch; the current one if empty.
        reload_includes: Patterns of files to watch besides Python files; needs the package watchfiles.
        console: Serve the console, a page for developers, at /_falconws/, to requests for this machine's own names,
            for *host*, and for the allowed hosts. None: with *reload*.
        workers: Number of processes.
        log_level: critical, error, warning, info, debug or trace.
        log_config: File of a logging configuration, as uvicorn takes it (.json, .yaml, or .ini); None: to stderr.
        log_redact: Query parameters whose values are masked in log lines.
        access_log: Log each HTTP request and each handshake; uvicorn's own engines always log handshakes.
        use_colors: Whether log lines have colors; None: on a terminal.
        server_header: Send a Server header.
        root_path: Prefix of all paths (ASGI "root_path"); a proxy may have stripped it, or not.
        lifespan: "on" refuses to start if the app has no lifespan or it fails; "auto" serves such an app too.
        forwarded_allow_ips: Proxies whose X-Forwarded-* headers are trusted: addresses and networks, separated by
            commas; "*" trusts all. None: the environment variable FORWARDED_ALLOW_IPS, else loopback. A Unix socket is
            always trusted.
        engine: "picows", or one of uvicorn's: "websockets-sansio", "websockets", "wsproto". "auto" is picows if it
            can be imported, else websockets-sansio.
        drain_s: Seconds over which WebSockets are closed, evenly, after the first SIGINT or SIGTERM; at most half a
            second with *reload*.
        drain_accept_s: Seconds between the signal and the drain. Meanwhile the server accepts and serves clients, and
            the readiness path answers 503, so that load balancers notice. 0 with *reload*.
        connection: The limits of one WebSocket connection; None: the defaults.
        http: The limits of one HTTP request; None: the defaults.
        admission: Which connections and requests are let in; None: all.
        tls: The certificate for https and wss; None serves without TLS.

    Raises:
        StartError: The app cannot be imported, or the address cannot be used. It is a SystemExit: if it is not
            caught, its one line goes to stderr and the process ends with code 1.
    """
    if log_level not in LOG_LEVELS:
        raise StartError(f'Unknown log level "{log_level}"; choose one of {", ".join(LOG_LEVELS)}.')
    if workers < 1:
        raise StartError(f"workers is {workers}; it must be at least 1.")
    if reload and workers > 1:
        raise StartError("reload and workers cannot be combined: a reloading server runs one process.")
    if console and workers > 1:
        raise StartError("console and workers cannot be combined: the console shows one process.")
    if drain_s < 0:
        raise StartError(f"drain_s is {drain_s}; it must be 0 or more.")
    if drain_accept_s < 0:
        raise StartError(f"drain_accept_s is {drain_accept_s}; it must be 0 or more.")
    if fd is not None and uds is not None:
        raise StartError("fd and uds cannot be combined: the server listens on one socket.")
    chosen = choose_engine(engine)
    if tls is not None:
        tls.check()
    if app_dir is not None:
        sys.path.insert(0, app_dir)
    has_console = reload if console is None else console
    admission = admission or AdmissionSettings()
    config = _configure(
        log_config,
        app,
        factory=factory,
        connection=connection or ConnectionSettings(),
        http=http or HttpSettings(),
        admission=admission,
        tls=tls,
        engine=chosen,
        drain_s=min(drain_s, _RELOAD_DRAIN_S) if reload else drain_s,
        drain_accept_s=0.0 if reload else drain_accept_s,
        log_redact=tuple(log_redact),
        server_header=server_header,
        host=host,
        port=port,
        uds=uds,
        reload=reload,
        reload_dirs=list(reload_dirs) or None,
        reload_includes=list(reload_includes) if find_spec("watchfiles") else None,
        workers=workers,
        log_level=log_level,
        access_log=access_log,
        use_colors=use_colors,
        root_path=root_path,
        console_hosts=[*LOCAL_HOSTS, *own_name(host), *(admission.allowed_hosts or ())] if has_console else None,
        lifespan=lifespan,
        forwarded_allow_ips=forwarded_allow_ips,
    )
    if not reload:
        # A reloading server starts even with a broken app, and waits until it is repaired.
        load_application(app, factory=factory)
    if fd is not None:
        listener = adopt(fd)
    elif uds is not None:
        listener = bind_unix(uds, uds_mode)
    else:
        listener = bind_tcp(host, port)
    config.trust_unix_socket = is_unix(listener)
    identity = None if uds is None else identity_of(uds)
    try:
        root, tls_is_on = config.app_root_path, config.is_ssl
        url = url_of(listener, host=host if fd is None else "", tls=tls_is_on, root_path=root)
        where = f"{url}{reach_of(listener, tls=tls_is_on, root_path=root)}"
        notice = f": {chosen.notice}" if chosen.notice else ""
        print(
            f"falconws serves {where} with uvicorn {uvicorn.__version__} and {chosen.title}{notice} (Ctrl+C stops it)",
            flush=True,
        )
        if has_console and uds is None:
            print(f"Console: {url}{CONSOLE_PATH}", flush=True)
        _serve(config, listener)
    finally:
        listener.close()
        if uds is not None and identity is not None:
            remove_unix(uds, identity)


def _configure(log_config: str | None, app: str, **options: Any) -> ServerConfig:
    try:
        config = ServerConfig(app, log_config=log_config, **options)
    except (OSError, ValueError, KeyError, ImportError, RuntimeError) as error:
        if log_config is None:
            raise
        reason = f"{error} is missing" if isinstance(error, KeyError) else error
        raise StartError(f'Cannot use the logging configuration "{log_config}": {reason}.') from error
    try:
        TrustedProxies(config.forwarded_allow_ips, trust_unix_socket=False)
    except ValueError as error:
        raise StartError(f"Cannot use forwarded_allow_ips (or FORWARDED_ALLOW_IPS): {error}.") from error
    return config


def _serve(config: ServerConfig, listener: socket.socket) -> None:
    server = Server(config)
    with contextlib.suppress(KeyboardInterrupt):
        if config.should_reload:
            ChangeReload(config, target=server.run, sockets=[listener]).run()
        elif config.workers > 1:
            Supervisor(config, listener).run()
        else:
            server.run(sockets=[listener])
            if server.exit_code:
                sys.exit(server.exit_code)
