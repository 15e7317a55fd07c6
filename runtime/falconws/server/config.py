"""uvicorn's configuration as falconws uses it: it finds the app, sets up the log, and carries our settings."""

import contextvars
import copy
import logging
import sys
from collections.abc import Collection, Sequence
from typing import Any
from urllib.parse import quote

import uvicorn
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE

from falconws.log_text import InputFilter
from falconws.server.admission import Admission, AdmissionSettings
from falconws.server.demux import demux_class
from falconws.server.engine import Engine
from falconws.server.errors import StartError
from falconws.server.forwarded import TrustedProxies
from falconws.server.http.protocol import http_protocol_class
from falconws.server.http_settings import HttpSettings
from falconws.server.importer import load_application
from falconws.server.tls import TlsSettings
from falconws.server.websocket.settings import ConnectionSettings

_logger = logging.getLogger("falconws.server")


class ServerConfig(uvicorn.Config):
    """A uvicorn.Config whose app may be an app or a factory, and whose start-up errors are one line.

    It is pickled into reloaded processes and workers, so it holds plain data only.
    """

    def __init__(
        self,
        app: str,
        *,
        factory: bool = False,
        log_level: str = "info",
        connection: ConnectionSettings,
        admission: AdmissionSettings,
        http: HttpSettings,
        tls: TlsSettings | None,
        engine: Engine,
        drain_s: float,
        drain_accept_s: float = 0.0,
        log_redact: Collection[str] = (),
        trust_unix_socket: bool = False,
        root_path: str = "",
        console_hosts: Sequence[str] | None = None,
        **options: Any,
    ) -> None:
        self.app_is_factory = factory
        self.connection_settings = connection
        self.admission_settings = admission
        self.http_settings = http
        self.engine_is_fast = engine.fast
        self.drain_s = drain_s
        self.drain_accept_s = drain_accept_s
        self.log_redact = log_redact
        self.trust_unix_socket = trust_unix_socket
        self.console_hosts = console_hosts
        """Names in the Host header for which there is a console; None: there is none."""
        # Not given to uvicorn, which would put it in front of each path.
        self.app_root_path = f"/{root_path.strip('/')}" if root_path.strip("/") else ""
        self.admission: Admission | None = None
        self._context: contextvars.Context | None = None
        options["log_config"] = options.get("log_config") or log_config(log_level)
        if tls is not None:
            options |= tls.uvicorn_options()
        super().__init__(
            app,
            # An Admission is no coroutine function, so uvicorn would take it for an ASGI 2 application.
            factory=True,
            interface="asgi3",
            proxy_headers=False,
            log_level=log_level,
            ws=engine.ws,
            # Those of our limits that uvicorn's own engines support.
            ws_max_size=connection.max_message_bytes,
            ws_ping_interval=connection.ping_interval_s,
            ws_ping_timeout=connection.ping_timeout_s,
            timeout_keep_alive=http.keep_alive_timeout_s,  # type: ignore[arg-type]
            ws_per_message_deflate=connection.deflate is not None,
            **options,
        )

    def configure_logging(self) -> None:
        """Set up the log; in each process."""
        super().configure_logging()
        for name in ("uvicorn.access", "uvicorn.error", "falconws.server"):
            logger = logging.getLogger(name)
            for old in [one for one in logger.filters if isinstance(one, InputFilter)]:
                logger.removeFilter(old)
            logger.addFilter(InputFilter(self.log_redact))

    @property
    def going_away(self) -> bool:
        """Whether the server has begun to drain."""
        return self.admission is not None and self.admission.going_away.is_set()

    def request_context(self) -> contextvars.Context:
        """Return a context for a request or a WebSocket: a copy of the one in which the server has started."""
        return contextvars.copy_context() if self._context is None else self._context.copy()

    def load_app(self) -> Any:
        """Return a factory of the app; uvicorn calls it right away."""
        assert isinstance(self.app, str)
        try:
            application = load_application(self.app, factory=self.app_is_factory)
        except StartError as error:
            _logger.error("%s", error)
            sys.exit(STARTUP_FAILURE)
        if self.console_hosts is not None:
            # Not at the top: a server without a console does not load it.
            from falconws.console.mount import Console

            application = Console(application, self.app.partition(":")[0].partition(".")[0], self.console_hosts)
        self.admission = Admission(
            application,
            self.admission_settings,
            hide_cancellation=not self.engine_is_fast,
            prepare=self.prepare_scope,
            prepare_websockets=not self.engine_is_fast,
            workers=self.workers,
        )
        return lambda: self.admission

    def load(self) -> None:
        """Load what cannot be pickled, in the process that serves."""
        self._context = contextvars.copy_context()
        http_class = http_protocol_class()
        self.http = demux_class(http_class) if self.engine_is_fast else http_class
        super().load()
        self._proxies = TrustedProxies(self.forwarded_allow_ips, trust_unix_socket=self.trust_unix_socket)

    def set_client(self, scope: dict[str, Any]) -> None:
        """Set client, scheme and host of *scope* to those that a trusted proxy reports."""
        self._proxies.apply(scope)

    def prepare_scope(self, scope: dict[str, Any]) -> None:
        """Complete the scope of a request: the client that a trusted proxy reports, and the path below the root path.

        Falcon routes on the path without the root path, whether or not a proxy has stripped it.
        """
        self.set_client(scope)
        root_path = self.app_root_path
        if root_path:
            scope["root_path"] = root_path
            if f"{scope['path']}/".startswith(f"{root_path}/"):
                scope["path"] = scope["path"].removeprefix(root_path) or "/"
                scope["raw_path"] = scope["raw_path"].removeprefix(quote(root_path).encode()) or b"/"


def log_config(log_level: str) -> dict[str, Any]:
    """Return uvicorn's logging configuration, with the logger of falconws.server added."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["falconws.server"] = {
        "handlers": ["default"],
        "level": "DEBUG" if log_level == "trace" else log_level.upper(),
        "propagate": False,
    }
    return config
