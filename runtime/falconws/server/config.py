"""uvicorn's configuration as falconws uses it: it finds the app, sets up the log, and carries our settings."""

import contextvars
import copy
import logging
import sys
from collections.abc import Iterable
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from falconws.log_text import REDACTED_NAMES, InputFilter
from falconws.server.admission import Admission, AdmissionSettings
from falconws.server.demux import demux_class
from falconws.server.engine import Engine
from falconws.server.errors import StartError
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
        log_redact: Iterable[str] = REDACTED_NAMES,
        connection: ConnectionSettings,
        admission: AdmissionSettings,
        http: HttpSettings,
        tls: TlsSettings | None,
        engine: Engine,
        drain_s: float,
        **options: Any,
    ) -> None:
        self.app_is_factory = factory
        self.connection_settings = connection
        self.admission_settings = admission
        self.http_settings = http
        self.engine_is_fast = engine.fast
        self.drain_s = drain_s
        self.admission: Admission | None = None
        self._context: contextvars.Context | None = None
        options.setdefault("log_config", log_config(log_level, log_redact))
        if tls is not None:
            options |= {
                "ssl_certfile": tls.certfile,
                "ssl_keyfile": tls.keyfile,
                "ssl_keyfile_password": tls.keyfile_password,
            }
        super().__init__(
            app,
            # An Admission is no coroutine function, so uvicorn would take it for an ASGI 2 application.
            factory=True,
            interface="asgi3",
            log_level=log_level,
            ws=engine.ws,
            # What uvicorn's own engines can do of our limits.
            ws_max_size=connection.max_message_bytes,
            ws_ping_interval=connection.ping_interval_s,
            ws_ping_timeout=connection.ping_timeout_s,
            timeout_keep_alive=http.keep_alive_timeout_s,  # type: ignore[arg-type]
            ws_per_message_deflate=connection.deflate is not None,
            **options,
        )

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
        self.admission = Admission(application, self.admission_settings, hide_cancellation=not self.engine_is_fast)
        return lambda: self.admission

    def load(self) -> None:
        """Load what cannot be pickled, in the process that serves."""
        self._context = contextvars.copy_context()
        http_class = http_protocol_class()
        self.http = demux_class(http_class) if self.engine_is_fast else http_class
        super().load()
        if self.uds is not None and isinstance(self.loaded_app, ProxyHeadersMiddleware):
            self.loaded_app.trusted_hosts = _UnixSocketAnd(self.loaded_app.trusted_hosts)  # type: ignore[assignment]


class _UnixSocketAnd:
    """Trusted hosts, and every client of the Unix socket: it has no address, but is on this machine."""

    def __init__(self, hosts: Any) -> None:
        self._hosts = hosts
        self.get_trusted_client_address = hosts.get_trusted_client_address

    def __contains__(self, host: str | None) -> bool:
        return not host or host in self._hosts


def log_config(log_level: str, redact: Iterable[str] = REDACTED_NAMES) -> dict[str, Any]:
    """Return uvicorn's logging configuration, with the logger of falconws.server, and without raw input or secrets."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["filters"] = {"input": {"()": InputFilter, "redact": tuple(redact)}}
    for handler in config["handlers"].values():
        handler["filters"] = ["input"]
    config["loggers"]["falconws.server"] = {
        "handlers": ["default"],
        "level": "DEBUG" if log_level == "trace" else log_level.upper(),
        "propagate": False,
    }
    return config
