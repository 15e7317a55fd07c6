"""uvicorn's configuration as falconws uses it: our way to find the app, and our log lines."""

import copy
import logging
import sys
from typing import Any

import uvicorn
from uvicorn.config import LOGGING_CONFIG, STARTUP_FAILURE
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from falconws.server.admission import Gate, GateSettings
from falconws.server.demux import entrance_class
from falconws.server.engine import Engine
from falconws.server.errors import StartError
from falconws.server.http.protocol import http_protocol_class
from falconws.server.importer import load_application
from falconws.server.websocket.settings import ConnectionSettings

_logger = logging.getLogger("falconws.server")


class ServerConfig(uvicorn.Config):
    """A uvicorn.Config whose app may be an app or a factory, and whose start-up errors are one line.

    It is pickled into reloaded and multiplied processes, so it holds plain data only.
    """

    def __init__(
        self,
        app: str,
        *,
        factory: bool = False,
        log_level: str = "info",
        connection_settings: ConnectionSettings,
        gate_settings: GateSettings,
        engine: Engine,
        drain_s: float,
        **options: Any,
    ) -> None:
        self.app_is_factory = factory
        self.connection_settings = connection_settings
        self.gate_settings = gate_settings
        self.engine_is_fast = engine.fast
        self.drain_s = drain_s
        self.gate: Gate | None = None
        options.setdefault("log_config", log_config(log_level))
        # The gate is no coroutine function, which uvicorn would take for an ASGI 2 application.
        super().__init__(app, factory=True, log_level=log_level, ws=engine.ws, interface="asgi3", **options)

    @property
    def going_away(self) -> bool:
        """Whether the server has begun to end."""
        return self.gate is not None and self.gate.going_away.is_set()

    def load_app(self) -> Any:
        """Return a factory of the app; uvicorn calls it right away."""
        assert isinstance(self.app, str)
        try:
            application = load_application(self.app, factory=self.app_is_factory)
        except StartError as error:
            _logger.error("%s", error)
            sys.exit(STARTUP_FAILURE)
        self.gate = Gate(application, self.gate_settings, quiet=not self.engine_is_fast)
        return lambda: self.gate

    def load(self) -> None:
        """Load what cannot be pickled, in the process that serves."""
        http_class = http_protocol_class()
        self.http = entrance_class(http_class) if self.engine_is_fast else http_class
        super().load()
        if self.uds is not None and isinstance(self.loaded_app, ProxyHeadersMiddleware):
            self.loaded_app.trusted_hosts = _AndTheSocket(self.loaded_app.trusted_hosts)  # type: ignore[assignment]


class _AndTheSocket:
    """Trusted hosts, and whoever comes over the Unix socket: without an address, but from this machine."""

    def __init__(self, hosts: Any) -> None:
        self._hosts = hosts
        self.get_trusted_client_address = hosts.get_trusted_client_address

    def __contains__(self, host: str | None) -> bool:
        return not host or host in self._hosts


def log_config(log_level: str) -> dict[str, Any]:
    """Return uvicorn's logging configuration with the server's own logger beside uvicorn's."""
    config = copy.deepcopy(LOGGING_CONFIG)
    config["loggers"]["falconws.server"] = {
        "handlers": ["default"],
        "level": "DEBUG" if log_level == "trace" else log_level.upper(),
        "propagate": False,
    }
    return config
