"""`run()`: bind, say where, serve until a signal. The only module that puts the parts together."""

import contextlib
import socket
import ssl
import sys
from collections.abc import Sequence
from typing import Literal

import uvicorn
from uvicorn.config import LOG_LEVELS
from uvicorn.supervisors import ChangeReload

from falconws.server.admission import GateSettings
from falconws.server.config import ServerConfig
from falconws.server.engine import choose_engine
from falconws.server.errors import StartError
from falconws.server.importer import load_application
from falconws.server.server import Server
from falconws.server.sockets import bind_tcp, bind_unix, identity_of, remove_unix, url_of
from falconws.server.websocket.deflate import DeflateSettings
from falconws.server.websocket.settings import ConnectionSettings
from falconws.server.workers import Supervisor

_RELOAD_DRAIN_S = 0.5


def run(
    app: str,
    *,
    factory: bool = False,
    host: str = "127.0.0.1",
    port: int = 8000,
    uds: str | None = None,
    app_dir: str | None = None,
    reload: bool = False,
    reload_dirs: Sequence[str] = (),
    workers: int = 1,
    log_level: str = "info",
    access_log: bool = True,
    ssl_certfile: str | None = None,
    ssl_keyfile: str | None = None,
    ssl_keyfile_password: str | None = None,
    root_path: str = "",
    lifespan: Literal["auto", "on", "off"] = "auto",
    forwarded_allow_ips: str | None = None,
    engine: str = "auto",
    ws_max_size: int = 1024 * 1024,
    ws_ping_interval: float | None = 20.0,
    ws_ping_timeout: float | None = 20.0,
    ws_send_timeout: float | None = 10.0,
    handshake_timeout: float | None = 10.0,
    ws_deflate: bool | DeflateSettings = False,
    drain: float = 10.0,
    only: str | None = None,
    limit_connections: int | None = None,
    limit_connections_per_ip: int | None = None,
) -> None:
    """Serve *app* until SIGINT or SIGTERM, and return when everything has ended.

    Prints one line with the URL (the real port when *port* is 0) and the WebSocket engine.

    Args:
        app: "module:attribute" of an ASGI app or of a factory that returns one.
        factory: The attribute is a factory, even if it could be called with arguments.
        host: Address to listen on; "::" and "0.0.0.0" listen on all interfaces.
        port: TCP port; 0 takes a free one.
        uds: Path of a Unix socket to listen on instead of host and port.
        app_dir: Folder put at the front of the import path; None leaves the path alone.
        reload: Restart when a file changes.
        reload_dirs: Folders to watch; the current one when empty.
        workers: Number of processes.
        log_level: critical, error, warning, info, debug or trace.
        access_log: Log each HTTP request, and each handshake; uvicorn's own engines log those in any case.
        ssl_certfile: PEM file of the certificate chain; serves https and wss.
        ssl_keyfile: PEM file of the private key; None when the certificate file holds it.
        ssl_keyfile_password: Password of the private key.
        lifespan: "on" makes an app that fails to start up an error; "auto" serves apps without lifespan too.
        root_path: Prefix that a proxy has stripped (ASGI "root_path").
        forwarded_allow_ips: Proxies whose X-Forwarded-* headers are believed, separated by commas;
            "*" believes all. None: the environment's FORWARDED_ALLOW_IPS, else loopback. Who comes over
            the Unix socket is always believed.
        engine: "picows", or one of uvicorn's: "websockets-sansio", "websockets", "wsproto"; "auto"
            is picows where it can be imported, websockets-sansio elsewhere.
        ws_max_size: Largest message from a client, in bytes; a larger one ends the connection with 1009.
        ws_ping_interval: Seconds between keepalive pings; None sends none.
        ws_ping_timeout: Seconds for the answer to a ping; None waits for ever.
        ws_send_timeout: Seconds for which a client may take nothing of what waits for it; None waits
            for ever. Picows only.
        handshake_timeout: Seconds for a client to complete the TLS handshake, again to send its request,
            and again for the app to accept or deny it; None waits for ever, for TLS a minute.
        ws_deflate: Offer permessage-deflate; costs about 40 kB of memory a connection. DeflateSettings, from
            falconws.server.websocket.deflate, choose window bits and context takeover, and with them the memory.
        drain: Seconds over which WebSockets are closed, evenly, after the first SIGINT or SIGTERM; at
            most half a second when reloading.
        only: "http" or "ws" answers the other kind of traffic with 421, but for /healthz and /readyz.
        limit_connections: Most WebSockets and HTTP requests at a time in one process; more get 503
            with Retry-After.
        limit_connections_per_ip: The same for one client address.

    Raises:
        StartError: The app cannot be imported or the address cannot be used. It is a SystemExit:
            uncaught, its one line goes to stderr and the process ends with code 1.
    """
    if log_level not in LOG_LEVELS:
        raise StartError(f'Unknown log level "{log_level}"; choose one of {", ".join(LOG_LEVELS)}.')
    if workers < 1:
        raise StartError(f"workers is {workers}; at least one process must serve.")
    if reload and workers > 1:
        raise StartError("reload and workers exclude each other: reloading runs one process.")
    chosen = choose_engine(engine)
    try:
        settings = ConnectionSettings(
            max_message_bytes=ws_max_size,
            ping_interval_s=ws_ping_interval,
            ping_timeout_s=ws_ping_timeout,
            send_timeout_s=ws_send_timeout,
            handshake_timeout_s=handshake_timeout,
            deflate=DeflateSettings() if ws_deflate is True else ws_deflate or None,
        )
        gate_settings = GateSettings(only, limit_connections, limit_connections_per_ip)
    except ValueError as error:
        raise StartError(f"{error}.") from error
    if drain < 0:
        raise StartError(f"drain is {drain}; it must be 0 seconds or more.")
    _check_tls(ssl_certfile, ssl_keyfile, ssl_keyfile_password)
    if app_dir is not None:
        sys.path.insert(0, app_dir)
    config = ServerConfig(
        app,
        factory=factory,
        connection_settings=settings,
        gate_settings=gate_settings,
        engine=chosen,
        drain_s=min(drain, _RELOAD_DRAIN_S) if reload else drain,
        ws_max_size=ws_max_size,
        ws_ping_interval=ws_ping_interval,
        ws_ping_timeout=ws_ping_timeout,
        ws_per_message_deflate=bool(ws_deflate),
        host=host,
        port=port,
        uds=uds,
        reload=reload,
        reload_dirs=list(reload_dirs) or None,
        workers=workers,
        log_level=log_level,
        access_log=access_log,
        ssl_certfile=ssl_certfile,
        ssl_keyfile=ssl_keyfile,
        ssl_keyfile_password=ssl_keyfile_password,
        root_path=root_path,
        lifespan=lifespan,
        forwarded_allow_ips=forwarded_allow_ips,
    )
    if not reload:
        # A reloading server starts with a broken app too, and waits for its repair.
        load_application(app, factory=factory)
    listener = bind_unix(uds) if uds is not None else bind_tcp(host, port)
    identity = None if uds is None else identity_of(uds)
    try:
        url = url_of(listener, host=host, tls=config.is_ssl)
        because = f": {chosen.notice}" if chosen.notice else ""
        print(
            f"falconws serves {url} with uvicorn {uvicorn.__version__} and {chosen.title}{because} (Ctrl+C stops it)",
            flush=True,
        )
        _serve(config, listener)
    finally:
        listener.close()
        if uds is not None and identity is not None:
            remove_unix(uds, identity)


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


def _check_tls(certfile: str | None, keyfile: str | None, password: str | None) -> None:
    if certfile is None:
        if keyfile is not None:
            raise StartError("ssl_keyfile needs ssl_certfile: name the certificate too.")
        return
    try:
        ssl.create_default_context(ssl.Purpose.CLIENT_AUTH).load_cert_chain(certfile, keyfile, password or "")
    except OSError as error:
        # ssl.SSLError is an OSError too; its text is OpenSSL's, and the file's name is what helps.
        files = certfile if keyfile is None else f"{certfile} and {keyfile}"
        if isinstance(error, ssl.SSLError) and keyfile is None:
            raise StartError(
                f"Cannot use the TLS certificate in {files}: it has to hold the private key as well, or name that with "
                f"ssl_keyfile ({_reason_of(error)})."
            ) from error
        raise StartError(f"Cannot use the TLS certificate in {files}: {_reason_of(error)}.") from error


def _reason_of(error: OSError) -> str:
    return getattr(error, "reason", None) or error.strerror or str(error)
