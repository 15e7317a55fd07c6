"""The server's errors: one for its operator, one for its client, one for its application.

SystemExit
    StartError          the operator's: the server cannot start
Exception
    ProtocolError       the client's: the connection is failed with its close code
OSError
    DisconnectedError   nobody's: the connection has ended and nothing can be sent
"""


class StartError(SystemExit):
    """The server cannot start; the message is one line that says what is wrong and what to do.

    It is a SystemExit, so that a script that calls ``run()`` and catches nothing ends with that
    line on stderr and exit code 1 instead of a traceback.
    """

    def __str__(self) -> str:
        return str(self.code)


class ProtocolError(Exception):
    """A client broke the protocol or a limit: fail its connection with *code* and *reason*.

    Source: RFC 6455 section 7.1.7.
    """

    def __init__(self, code: int, reason: str) -> None:
        super().__init__(code, reason)
        self.code = code
        self.reason = reason


class DisconnectedError(OSError):
    """Raised by `send` on a connection that has ended (ASGI, "Send - send event")."""
