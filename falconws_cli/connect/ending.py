"""What the end of a connection means, in a sentence. Knows of the close codes what RFC 6455 section 7.4 says. Pure."""

from dataclasses import dataclass

from websockets.exceptions import ConnectionClosed

from falconws_cli.connect.messages import printable

_GOOD = (1000, 1001)
_NO_CODE = 1005
_UNANSWERED_PING = 1011


@dataclass(frozen=True)
class Ending:
    """How a connection ended."""

    sentence: str
    good: bool
    """Whether nobody complained: 1000, 1001, or a close frame without a code."""


def ending_of(closed: ConnectionClosed) -> Ending:
    """Return how the connection that *closed* tells of ended."""
    received, sent = closed.rcvd, closed.sent
    if received is not None and (closed.rcvd_then_sent or sent is None):
        code, reason = received.code, received.reason
        named = "no code" if code == _NO_CODE else str(code)
        said = f" ({printable(reason)})" if reason else ""
        return Ending(f"The server closed the connection with {named}{said}", code in (*_GOOD, _NO_CODE))
    if sent is not None and sent.code in _GOOD:
        if received is None:
            return Ending("The server has not answered the closing handshake", True)
        return Ending(f"Closed with {received.code}", True)
    if sent is not None and sent.code == _UNANSWERED_PING:
        return Ending(f"The server does not answer ({sent.reason})", False)
    if sent is not None:
        return Ending(f"The server broke the protocol: {printable(sent.reason or str(sent.code))}", False)
    return Ending("The server cut the connection without a closing handshake (1006)", False)
