"""The errors of the server. Each one says who is at fault.

SystemExit
    StartError          the operator: the server cannot start
    +-- TargetError     the operator: "module:attribute" names no ASGI app
Exception
    ProtocolError       the client: the connection is failed with its close code
OSError
    DisconnectedError   nobody: the connection has ended and nothing can be sent
"""


class StartError(SystemExit):
    """The server cannot start. The message is one line: what is wrong, and what to do.

    It is a SystemExit: a script that calls ``run()`` and does not catch it ends with that line on stderr and exit
    code 1, without a traceback.
    """

    def __str__(self) -> str:
        return str(self.code)


class TargetError(StartError):
    """The target names no ASGI app, whatever the environment is: it has to be corrected."""


class ProtocolError(Exception):
    """The client broke the protocol or a limit: fail its connection with *code* and *reason*.

    Source: RFC 6455 section 7.1.7.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class DisconnectedError(OSError):
    """Raised by `send` on a connection that has ended (ASGI, "Send - send event")."""
