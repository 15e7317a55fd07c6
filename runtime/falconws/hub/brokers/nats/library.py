"""The client library, and everything that the hub uses of it beyond its public interface (nats-py 2.16).

Owns the private names: tests/runtime/hub/brokers/nats/test_library.py fails if nats-py renames one. Knows no subject.
"""

from __future__ import annotations

import asyncio
import os
import re
import ssl
from collections.abc import Callable, Iterable
from contextlib import suppress
from functools import cache
from importlib.util import find_spec
from typing import Any, NamedTuple

from .url import NatsUrl

__all__ = (
    "Refusal",
    "abort",
    "check_credentials",
    "connect_options",
    "is_authorization_error",
    "load_nats",
    "make_client",
    "on_reader_end",
    "parse_refusal",
    "subscribe_answers",
)

OnAnswer = Callable[[str, bytes, dict[str, str]], None]

_CLOSE_S = 0.5
_TOO_MANY_SUBSCRIPTIONS = "maximum subscriptions exceeded"
_NO_PERMISSION = "permissions violation"
_REFUSED_SUBJECT = re.compile(r"permissions violation for (publish|subscription) to \"([^\"]+)\"", re.IGNORECASE)
_UNUSUAL = re.compile(r":  | \r|[\t\v\f\x1c-\x1f]")
_TASKS = ("_reading_task", "_flusher_task", "_ping_interval_task", "_reconnection_task")


def load_nats() -> Any:
    """Return the client library.

    Raises:
        ValueError: It is not installed.
    """
    try:
        import nats
    except ImportError:
        raise ValueError('The hub needs nats-py for this URL: pip install "falconws[nats]"') from None
    return nats


def check_credentials(url: NatsUrl) -> None:
    """Raise ValueError if *url* names a credentials file that cannot be used."""
    if url.credentials is None:
        return
    if find_spec("nkeys") is None:
        raise ValueError('Credentials of NATS need the package nkeys: pip install "falconws[nats]"')
    if not os.access(url.credentials, os.R_OK):
        raise ValueError(f"{url.name}: the credentials file {url.credentials} does not exist, or cannot be read.")


def connect_options(url: NatsUrl, timeout_s: float) -> dict[str, Any]:
    """Return the arguments for the client's ``connect()``, besides the callbacks."""
    options: dict[str, Any] = {
        "servers": url.servers,
        "name": "falconws hub",
        "allow_reconnect": False,
        # Try all servers without pauses: ReconnectLoop makes the pauses.
        "max_reconnect_attempts": 1,
        "reconnect_time_wait": 0,
        "connect_timeout": timeout_s,
    }
    if url.tls:
        options["tls"] = ssl.create_default_context()
    if url.credentials:
        options["user_credentials"] = url.credentials
    return options


@cache
def _client_class() -> Any:
    class Client(load_nats().NATS):  # type: ignore[misc]
        """nats-py's client, which would send credentials in the clear to a server that does not ask for TLS."""

        encrypted = False
        answers_sid = 0
        """The subscription whose messages go to ``on_answer`` at once."""
        on_answer: OnAnswer

        def _connect_command(self) -> bytes:
            # Called after the server's INFO, before anything is sent.
            if self.encrypted and not self._server_info.get("tls_required"):
                raise ConnectionError("the server does not ask for TLS, but the URL does; use nats:// if that is meant")
            command: bytes = super()._connect_command()
            return command

        async def _process_err(self, err_msg: str) -> None:
            # nats-py closes the connection for every error but a missing permission. For one subscription too many,
            # that is wrong: the server refuses only the subscription.
            if any(refusal in err_msg.lower() for refusal in (_TOO_MANY_SUBSCRIPTIONS, _NO_PERMISSION)):
                # nats-py has turned the text into lower case, and with it the subject. The parser has the original.
                line = bytes(self._ps.buf).partition(b"\r\n")[0].decode("utf-8", "replace")
                _, _, text = line.partition("'")
                original = text.rstrip("'")
                if original.lower() != err_msg.strip("'").lower():
                    original = err_msg.strip("'")
                await self._error_cb(load_nats().errors.Error(f"nats: {original}"))
            else:
                await super()._process_err(err_msg)

        @staticmethod
        def _parse_header_lines(raw: bytes) -> dict[str, str]:
            # PERF: nats-py tests every character of every name for white space, which takes half of the time in which
            # a message is received.
            text = raw.decode("utf-8", "replace")
            lines = text.split("\r\n")
            headers = dict([line.split(": ", 1) for line in lines if ": " in line])
            # What the server writes needs no more; other programs may write anything.
            if len(headers) == len(lines) - 2 and text.isascii() and not _UNUSUAL.search(text):
                names = "".join(headers).replace("-", "")
                if names.isalnum():
                    return headers
            headers = {}
            for line in lines:
                name, colon, value = line.partition(":")
                name = name.strip()
                if colon and name.isascii() and (name.isidentifier() or len(name.split()) < 2):
                    headers[name] = value.strip()
            return headers

        async def _process_msg(self, sid: int, subject: bytes, reply: bytes, data: bytes, headers: bytes) -> None:
            # PERF: a queue, and a task that reads it, take a third of the time in which a message is received. Answers
            # need neither: only a future waits for each.
            if sid != self.answers_sid:
                await super()._process_msg(sid, subject, reply, data, headers)
                return
            self.on_answer(subject.decode(), data, await self._process_headers(headers) or {})

    return Client


def make_client(*, encrypted: bool) -> Any:
    """Return a client that is not connected; *encrypted* refuses servers that do not ask for TLS."""
    client = _client_class()()
    client.encrypted = encrypted
    return client


async def subscribe_answers(client: Any, subject: str, on_answer: OnAnswer) -> Any:
    """Call *on_answer* with subject, payload and headers of each message on *subject*; return the subscription."""
    client.on_answer = on_answer
    subscription = await client.subscribe(subject)
    client.answers_sid = subscription._id
    return subscription


class Refusal(NamedTuple):
    """What an asynchronous error of the server refuses."""

    kind: str
    """"publish" or "subscription"."""
    subject: str | None
    """``None``: the subscriptions that are not confirmed yet."""


def parse_refusal(error: Exception) -> Refusal | None:
    """Return what *error*, of the client's ``error_cb``, refuses; None if it is another error."""
    text = str(error)
    if _TOO_MANY_SUBSCRIPTIONS in text.lower():
        return Refusal("subscription", None)
    match = _REFUSED_SUBJECT.search(text)
    return None if match is None else Refusal(match[1].lower(), match[2])


def is_authorization_error(error: Exception) -> bool:
    """Whether the server has refused the credentials."""
    # While it connects, the client raises a general error with the server's text.
    return isinstance(error, load_nats().errors.AuthorizationError) or "authorization violation" in str(error).lower()


def on_reader_end(client: Any, callback: Callable[[], None]) -> None:
    """Call *callback* when the connection of *client* ends, for whatever reason.

    nats-py does not call ``closed_cb`` if it cannot flush its buffer when it closes.
    """
    client._reading_task.add_done_callback(lambda _: callback())


async def abort(client: Any, subscriptions: Iterable[Any]) -> None:
    """Cut the connection of *client*, whatever state it is in, and end its tasks."""
    with suppress(Exception):
        async with asyncio.timeout(_CLOSE_S):
            await client.close()
    # close() waits for a server that does not read; the socket is closed in any case.
    if client._transport is not None:
        with suppress(Exception):
            client._transport.close()
    # A close() that is cut short leaves tasks behind; so does one while the client closes by itself.
    tasks = [getattr(client, name) for name in _TASKS]
    tasks += [subscription._wait_for_msgs_task for subscription in subscriptions]
    left = [task for task in tasks if task is not None and not task.done()]
    for task in left:
        task.cancel()
    if left:
        await asyncio.wait(left, timeout=_CLOSE_S)
