"""Opens the connection. Every way in which that fails is one line that says what to do."""

import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import websockets.asyncio.client
from websockets.asyncio.client import ClientConnection
from websockets.exceptions import InvalidHandshake, InvalidMessage, InvalidStatus, InvalidURI
from websockets.typing import Origin, Subprotocol

from falconws_cli.connect.messages import printable
from falconws_cli.errors import CommandError
from falconws_cli.urls import Target

_MAX_MESSAGE_BYTES = 64 << 20
_CLOSE_S = 5.0
_SHOWN_BODY = 1_000
_SHOWN_HEADERS = ("Retry-After", "WWW-Authenticate", "Location")


@dataclass(frozen=True)
class Handshake:
    """What a client asks for."""

    target: Target
    headers: Sequence[tuple[str, str]] = ()
    subprotocols: Sequence[str] = ()
    origin: str | None = None
    tls: ssl.SSLContext | None = None
    """None where the target has none."""
    timeout_s: float = 10.0
    not_found_hint: str = ""
    """What to add when the server answers 404."""


def tls_context(target: Target, *, insecure: bool, cafile: str | None) -> ssl.SSLContext | None:
    """Return how the certificate of *target* is verified; None without TLS.

    Raises:
        CommandError: *cafile* cannot be read as certificates.
    """
    if not target.tls:
        return None
    try:
        context = ssl.create_default_context(cafile=cafile)
    except OSError as error:
        # ssl.SSLError is an OSError too; its text is OpenSSL's, and the file's name is what helps.
        said = "it holds no certificate (PEM)" if isinstance(error, ssl.SSLError) else error.strerror or str(error)
        raise CommandError(f"Cannot use --cafile {cafile}: {said.lower()}.") from error
    if insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


async def open_connection(handshake: Handshake) -> ClientConnection:
    """Return an open connection.

    Raises:
        CommandError: There is none to be had; for a denial it has the HTTP status and the body.
    """
    target = handshake.target
    where = target.authority
    # Left out, so that a redirection to wss:// is followed with the usual context.
    tls: dict[str, Any] = {} if handshake.tls is None else {"ssl": handshake.tls}
    try:
        return await websockets.asyncio.client.connect(
            target.url,
            additional_headers=list(handshake.headers),
            subprotocols=[Subprotocol(name) for name in handshake.subprotocols] or None,
            origin=None if handshake.origin is None else Origin(handshake.origin),
            proxy=None if _is_this_machine(target.host) else True,
            open_timeout=handshake.timeout_s,
            close_timeout=_CLOSE_S,
            max_size=_MAX_MESSAGE_BYTES,
            **tls,
        )
    except InvalidStatus as error:
        raise CommandError(_denial(error, handshake)) from error
    except InvalidMessage as error:
        raise CommandError(f"What listens on {where} does not speak HTTP; is it a WebSocket server?") from error
    except (InvalidHandshake, InvalidURI) as error:
        raise CommandError(f"The server's handshake is wrong: {printable(str(error))}.") from error
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
            f"The certificate of {where} cannot be trusted: {error.verify_message}; name who signed it with "
            "--cafile, or trust any with --insecure."
        ) from error
    except ssl.SSLError as error:
        said = (error.reason or str(error)).replace("_", " ").lower()
        raise CommandError(f"No TLS with {where}: {said}; is it ws:// instead of wss://?") from error
    except (OSError, UnicodeError) as error:
        said = (getattr(error, "strerror", None) or str(error)).rstrip(".").lower()
        raise CommandError(f"Cannot connect to {where}: {said}.") from error


def _denial(error: InvalidStatus, handshake: Handshake) -> str:
    response = error.response
    body = " ".join(bytes(response.body or b"").decode(errors="replace").split())
    shown = f"{body[:_SHOWN_BODY]} ..." if len(body) > _SHOWN_BODY else body
    headers = [f"{name}: {value}" for name in _SHOWN_HEADERS for value in response.headers.get_all(name)]
    listed = f" ({'; '.join(headers)})" if headers else ""
    said = f": {shown}" if shown else ""
    end = "" if said.endswith(".") else "."
    hint = handshake.not_found_hint if response.status_code == 404 else ""
    return printable(
        f"The server denied the handshake with {response.status_code} {response.reason_phrase}{listed}{said}{end}{hint}"
    )


def _is_this_machine(host: str) -> bool:
    """Return whether no proxy shall be asked for *host*."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost" or host.endswith(".localhost")
