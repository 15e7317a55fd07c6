"""Opens a connection, and tells how it was closed. Every failure is one line that says what to do.

Must not know what is said on the connection.
"""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import websockets.asyncio.client
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.typing import Origin, Subprotocol

from falconws.closecodes import CloseCode
from falconws_cli.connect.messages import printable
from falconws_cli.errors import CommandError
from falconws_cli.urls import WebSocketUrl

_MAX_MESSAGE_BYTES = 64 << 20
_CLOSE_TIMEOUT_S = 5.0
_SHOWN_BODY_CHARACTERS = 1_000
_SHOWN_HEADERS = ("Retry-After", "WWW-Authenticate", "Location")
_CLEAN = (CloseCode.NORMAL, CloseCode.GOING_AWAY)


@dataclass(frozen=True)
class HandshakeRequest:
    """The request of the opening handshake."""

    url: WebSocketUrl
    headers: Sequence[tuple[str, str]] = ()
    subprotocols: Sequence[str] = ()
    origin: str | None = None
    tls: ssl.SSLContext | None = None
    """None without TLS."""
    timeout_s: float = 10.0
    not_found_hint: str = ""
    """What to add when the server answers 404."""


def tls_context(url: WebSocketUrl, *, insecure: bool, cafile: str | None) -> ssl.SSLContext | None:
    """Return the context that verifies the server's certificate; None without TLS.

    Raises:
        CommandError: *cafile* cannot be read as certificates.
    """
    if not url.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        # ssl.SSLError is an OSError whose text is OpenSSL's; the name of the file helps more.
        said = "it contains no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
        raise CommandError(f"Cannot use --cafile {cafile}: {said.lower()}.") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def open_connection(handshake: HandshakeRequest) -> ClientConnection:
    """Open a connection.

    Raises:
        CommandError: That failed; after a denial, the message has the HTTP status and the body.
    """
    url = handshake.url
    where = url.authority
    # Left out without TLS, so that a redirect to wss:// gets the default context.
    tls: dict[str, Any] = {} if handshake.tls is None else {"ssl": handshake.tls}
    try:
        return await websockets.asyncio.client.connect(
            str(url),
            additional_headers=list(handshake.headers),
            subprotocols=[Subprotocol(name) for name in handshake.subprotocols] or None,
            origin=None if handshake.origin is None else Origin(handshake.origin),
            proxy=None if _is_this_machine(url.host) else True,
            open_timeout=handshake.timeout_s,
            close_timeout=_CLOSE_TIMEOUT_S,
            max_size=_MAX_MESSAGE_BYTES,
            **tls,
        )
    except InvalidStatus as error:
        raise CommandError(_denial(error, handshake)) from error
    except InvalidMessage as error:
        raise CommandError(f"The server on {where} does not speak HTTP; is it a WebSocket server?") from error
    except (InvalidHandshake, InvalidURI) as error:
        raise CommandError(f"The server's handshake is invalid: {printable(str(error))}.") from error
    except TimeoutError as error:
        raise CommandError(
            f"The server on {where} has not answered the handshake within {handshake.timeout_s:g} s (--timeout)."
        ) from error
    except ConnectionRefusedError as error:
        raise CommandError(
            f"Nothing listens on {where}; start the server first (falconws serve), or correct the port."
        ) from error
    except ssl.SSLCertVerificationError as error:
        raise CommandError(
            f"The certificate of {where} is not trusted: {error.verify_message}; name the CA's file with --cafile, "
            "or trust any certificate with --insecure."
        ) from error
    except ssl.SSLError as error:
        said = (error.reason or str(error)).replace("_", " ").lower()
        raise CommandError(f"TLS with {where} failed: {said}; is it ws:// instead of wss://?") from error
    except (OSError, UnicodeError) as error:
        said = (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
        raise CommandError(f"Cannot connect to {where}: {said}.") from error


@dataclass(frozen=True)
class CloseSummary:
    """How a connection was closed."""

    sentence: str
    clean: bool
    """Whether nobody reported an error: NORMAL, GOING_AWAY, or a close frame without a code."""


def summarize_close(closed: ConnectionClosed) -> CloseSummary:
    """Say in a sentence how a connection was closed (RFC 6455 section 7.4)."""
    received, sent = closed.rcvd, closed.sent
    if received is not None and (closed.rcvd_then_sent or sent is None):
        code, reason = received.code, received.reason
        named = "no code" if code == CloseCode.NO_STATUS else str(code)
        said = f" ({printable(reason)})" if reason else ""
        return CloseSummary(
            f"The server closed the connection with {named}{said}", code in (*_CLEAN, CloseCode.NO_STATUS)
        )
    if sent is not None and sent.code in _CLEAN:
        if received is None:
            return CloseSummary("The server did not answer the closing handshake", True)
        return CloseSummary(f"Closed with {received.code}", True)
    # websockets sends this code when a ping is not answered.
    if sent is not None and sent.code == CloseCode.INTERNAL_ERROR:
        return CloseSummary(f"The server does not answer ({sent.reason})", False)
    if sent is not None:
        return CloseSummary(f"The server violated the protocol: {printable(sent.reason or str(sent.code))}", False)
    return CloseSummary(
        f"The server dropped the connection without a closing handshake ({CloseCode.ABNORMAL:d})", False
    )


def _denial(error: InvalidStatus, handshake: HandshakeRequest) -> str:
    response = error.response
    body = " ".join(bytes(response.body or b"").decode(errors="replace").split())
    shown = f"{body[:_SHOWN_BODY_CHARACTERS]} ..." if len(body) > _SHOWN_BODY_CHARACTERS else body
    headers = [f"{name}: {value}" for name in _SHOWN_HEADERS for value in response.headers.get_all(name)]
    listed = f" ({'; '.join(headers)})" if headers else ""
    said = f": {shown}" if shown else ""
    end = "" if said.endswith(".") else "."
    hint = handshake.not_found_hint if response.status_code == 404 else ""
    return printable(
        f"The server denied the handshake with {response.status_code} {response.reason_phrase}{listed}{said}{end}{hint}"
    )


def _is_this_machine(host: str) -> bool:
    """Return whether *host* is reached without a proxy."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
