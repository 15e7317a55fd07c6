"""The hub: what applications use to fan out messages.

Owns the life from the application's start to its shutdown; what runs meanwhile is the switchboard, and what a room, a
subscriber or a policy does is in the modules of that name.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import json
from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import falcon.asgi
from falcon import WebSocketPayloadType

from .broadcast import Encode
from .broker import Broker, Health, HistoryLimits, Payload
from .brokers import make_broker
from .checks import check_function, check_name, check_seconds
from .codec import Media
from .dispatcher import Switchboard
from .listener import Listener
from .policy import Policy
from .position import Position
from .stats import Dropped, Stats
from .subscription import Socket, Subscription, check_socket

__all__ = ("Hub",)


class Hub:
    """Rooms to which connections subscribe, and everybody may publish.

    Add it to the application as middleware, so that it starts and stops with it::

        hub = falconws.Hub()
        app = falconws.App(middleware=[hub])

    Resources find it as ``req.context.hub``, unless you give it to them.

    Without an application, ``async with hub:`` does the same. It belongs to the event loop in which it was started.

    Args:
        url: Where the messages of several processes meet: ``redis://host:6379/0``, ``nats://host:4222``; or
            ``memory://``, which stays in the process and needs nothing. A ``Broker`` of your own works too.
        history: How much of each room is kept for those who come back. ``None``: what the rooms of the broker were
            given by another process, or 100 messages for 300 s where nobody has said. So a process that only publishes
            shortens nobody's history.
        policy: For subscribers that do not keep up, unless ``subscribe()`` says otherwise (default:
            ``Policy.disconnect()``).
        lease_s: Seconds within which the members of a process that died are no longer present.
        timeout_s: Seconds after which a call to the broker is given up with ``BrokerUnavailable``.
        media_handlers: As in ``app.ws_options.media_handlers`` (default: JSON for TEXT, MessagePack for BINARY).
        on_drop: Called with a ``Dropped`` whenever a policy drops messages; must not block.

    Raises:
        TypeError, ValueError: There is no broker for *url*, or a package that it needs is not installed; or another
            argument cannot be used.
    """

    def __init__(
        self,
        url: str | Broker = "memory://",
        *,
        history: HistoryLimits | None = None,
        policy: Policy | None = None,
        lease_s: float = 30.0,
        timeout_s: float = 5.0,
        media_handlers: Mapping[WebSocketPayloadType, Any] | None = None,
        on_drop: Callable[[Dropped], object] | None = None,
    ) -> None:
        # A class has the methods, too.
        if isinstance(url, type) or not isinstance(url, str | Broker):
            raise TypeError(f"Hub takes a URL, or a broker with all methods of falconws.hub.Broker; not {url!r}.")
        if history is not None and not isinstance(history, HistoryLimits):
            raise TypeError(f"history is a HistoryLimits(messages=..., age_s=...), not {type(history).__name__}.")
        _check_policy(policy)
        check_seconds("Hub", "lease_s", lease_s)
        check_seconds("Hub", "timeout_s", timeout_s)
        if on_drop is not None:
            check_function("on_drop", on_drop, "a Dropped")
        self._url = url
        self._history = history
        self._policy = policy or Policy.disconnect()
        self._lease_s = lease_s
        self._timeout_s = timeout_s
        self._media = Media(media_handlers)
        self._on_drop = on_drop
        self._stats = Stats()
        self._switchboard: Switchboard | None = None
        self._has_run = False
        # Made here, so that a URL that cannot work is told at once.
        self._first_broker: Broker | None = self._make_broker()

    def _make_broker(self) -> Broker:
        if not isinstance(self._url, str):
            return self._url
        return make_broker(self._url, history=self._history, timeout_s=self._timeout_s)

    # Life

    async def process_startup(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Start with the application (Falcon's middleware interface).

        Where the server keeps a lifespan state, its readiness endpoint asks ``health()`` from now on.
        """
        await self.start()
        state = scope.get("state")
        if state is not None:
            state.setdefault("falconws.readiness", []).append(self._problem)

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Stop with the application (Falcon's middleware interface)."""
        await self.stop()

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Be ``req.context.hub`` to resources that are not given the hub (Falcon's middleware interface)."""
        req.context.hub = self

    async def process_request_ws(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """Be ``req.context.hub`` to resources that are not given the hub (Falcon's middleware interface)."""
        req.context.hub = self

    async def __aenter__(self) -> Self:
        """Start."""
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop."""
        await self.stop()

    async def start(self) -> None:
        """Start. A broker that is away is no error: ``health()`` says so, and the hub goes on trying.

        Raises:
            RuntimeError: It runs already.
        """
        if self._switchboard is not None:
            raise RuntimeError("This hub runs already; a hub is added to one application, once.")
        # A new broker for each start: what one in memory keeps belongs to one run. Tests start an application often.
        broker, self._first_broker = self._first_broker or self._make_broker(), None
        switchboard = self._switchboard = Switchboard(
            broker, self._media, lease_s=self._lease_s, timeout_s=self._timeout_s, on_drop=self._on_drop
        )
        try:
            await switchboard.start()
        except BaseException:
            self._switchboard = None
            raise

    async def stop(self) -> None:
        """End all subscriptions and listeners, and let go of the broker, whatever state it is in."""
        switchboard, self._switchboard = self._switchboard, None
        if switchboard is not None:
            self._has_run = True
            self._stats = switchboard.stats
            await switchboard.stop()

    async def health(self) -> Health:
        """Return whether the hub can publish and deliver, and in one line what is wrong if not; for readiness probes.

        Returns within ``timeout_s``; never raises.
        """
        if self._switchboard is None:
            return Health(False, "the hub is not running")
        return await self._switchboard.health()

    async def _problem(self) -> str | None:
        health = await self.health()
        return None if health.ok else f"hub: {health.detail}"

    @property
    def stats(self) -> Stats:
        """What this hub has counted since it was started."""
        return self._stats if self._switchboard is None else self._switchboard.stats

    def _running(self) -> Switchboard:
        if self._switchboard is None and self._has_run:
            raise RuntimeError("The hub has stopped, as its application has.")
        if self._switchboard is None:
            raise RuntimeError(
                "The hub is not running: add it to the app, falconws.App(middleware=[hub]), and let the server run the "
                "lifespan; or use `async with hub:`."
            )
        return self._switchboard

    # Publishing

    async def publish(
        self,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT,
        *,
        key: str | None = None,
    ) -> Position:
        """Send a message to all who follow *room*, in all processes, and return the position that it was given.

        It is encoded once. Messages of one task to one room arrive in order. Returns when the broker has the message,
        not when clients have it.

        Args:
            room: Any name, of 1 to 255 bytes of UTF-8. A room exists as long as somebody follows it or something is
                kept of it.
            media: ``str`` is sent as TEXT, ``bytes`` as BINARY; anything else is serialized as in ``ws.send_media()``.
            payload_type: Which media handler serializes.
            key: What the message is about, for subscribers with the policy ``conflate``.

        Raises:
            BrokerUnavailable: Whether the message will arrive is not known.
            RuntimeError: The hub does not run, or belongs to another event loop.
            TypeError, ValueError: *media* cannot be serialized, *room* is no name, or *key* is no text.
        """
        switchboard = self._running()
        switchboard.check_loop()
        check_name("room", room)
        _check_key(key)
        payload = self._media.payload(media, payload_type)
        size = _size(payload)
        if room in switchboard.rooms:
            await switchboard.pace(size)
        position = await switchboard.broker.publish(room, payload, key=key)
        switchboard.stats.published += 1
        return position

    def publish_threadsafe(
        self,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT,
        *,
        key: str | None = None,
        timeout: float | None = None,
    ) -> Position:
        """Do what ``publish()`` does, from a thread other than the event loop's.

        Args:
            timeout: Seconds to wait at most for the event loop (default: as long as it takes).

        Raises:
            TimeoutError: It took longer; the message may still be published.
        """
        if timeout is not None:
            check_seconds("publish_threadsafe", "timeout", timeout, or_zero=True)
        loop = self._running().loop
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is loop:
            raise RuntimeError("publish_threadsafe() would block its own event loop: await hub.publish(...).")
        future: concurrent.futures.Future[Position] = asyncio.run_coroutine_threadsafe(
            self.publish(room, media, payload_type, key=key), loop
        )
        try:
            return future.result(timeout)
        except TimeoutError:
            if future.done():
                # In the very last moment; or it is publish() that has failed so.
                return future.result()
            raise TimeoutError(
                f"The event loop has not published the message within {timeout:g} s; nobody knows whether it will."
            ) from None

    # Subscribing

    def subscribe(
        self,
        ws: Socket,
        *rooms: str,
        policy: Policy | None = None,
        since: Position | Mapping[str, Position] | None = None,
        member: str | None = None,
        info: object = None,
        encode: Encode | None = None,
    ) -> Subscription:
        """Return a context manager that lets the client of *ws* follow *rooms* for the length of the block.

        The responder goes on receiving meanwhile; messages reach the client by themselves::

            async with hub.subscribe(ws, "room:42"):
                async for message in ws:
                    await hub.publish("room:42", message)

        Args:
            ws: A connection, accepted when the block begins.
            rooms: One or several names; more can be joined later, with ``subscription.join()``.
            policy: What happens when the client does not keep up (default: the hub's).
            since: Where a client that comes back stood: what it has missed is sent first, once and in order. For
                several rooms a mapping. If it is not all there any more, ``subscription.gap`` says so.
            member: Who this is, to those who ask ``present()``, for the length of the block.
            info: What others are shown of the member; anything that JSON can express. Only with *member*: where that
                may be None, leave out both together.
            encode: Makes what the client is sent of an event (``Message``, ``Gap``, ``Joined``, ``Left``): ``str``,
                ``bytes``, an object for the TEXT media handler, or None for nothing. Called once an event for all
                subscribers with the same function, so define it once, outside of the responder. By default messages
                are sent as they were published, and nothing else is: a client of which the broker has lost messages is
                disconnected (1013, "messages are missing"), unless its policy drops messages anyway.

        Raises:
            TypeError, ValueError: *ws*, *rooms*, *policy*, *since*, *member*, *info* or *encode* cannot be used.
        """
        check_socket(ws)
        for room in rooms:
            check_name("room", room)
        if member is not None:
            check_name("member", member)
        elif info is not None:
            raise ValueError("info is what others are shown of a member: give member too.")
        _check_policy(policy)
        if encode is not None:
            check_function("encode", encode, "an event")
        try:
            hash(encode)
        except TypeError:
            raise TypeError(
                "encode has to be hashable, as functions are: it is called once for all who share it."
            ) from None
        return Subscription(
            self._running(),
            ws,
            rooms,
            policy=policy or self._policy,
            since=since,
            member=member,
            info=b"null" if info is None else json.dumps(info, ensure_ascii=False, allow_nan=False).encode(),
            encode=encode,
        )

    def listen(
        self,
        *rooms: str,
        since: Position | Mapping[str, Position] | None = None,
        policy: Policy | None = None,
    ) -> Listener:
        """Return an asynchronous iterator over the messages of *rooms*, for code that has no socket::

            async for event in hub.listen("orders"):
                match event:
                    case falconws.Message(): ...
                    case falconws.Gap(): ...

        Ends when the hub stops. Arguments as in ``subscribe()``; ``disconnect`` means that the loop gets
        ``ListenerTooSlow``. The first step raises ``BrokerUnavailable`` when there is no broker within ``timeout_s``; a
        loop that has begun goes on when the broker was away.
        """
        for room in rooms:
            check_name("room", room)
        _check_policy(policy)
        return Listener(self._running(), rooms, policy=policy or self._policy, since=since)

    async def present(self, room: str) -> dict[str, Any]:
        """Return who is present in *room*, in all processes: the info of each member, by name.

        Those who ask at the same time may share the infos: do not change them.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        switchboard = self._running()
        switchboard.check_loop()
        check_name("room", room)
        return await switchboard.roster.members(room)


def _check_key(key: str | None) -> None:
    if key is None or (isinstance(key, str) and key.isascii()):
        return
    if not isinstance(key, str):
        raise TypeError(f"key is a str, not {type(key).__name__}.")
    try:
        key.encode()
    except UnicodeEncodeError as error:
        raise ValueError(f"key cannot be sent as UTF-8: {error.reason}.") from error


def _check_policy(policy: Policy | None) -> None:
    if policy is not None and not isinstance(policy, Policy):
        raise TypeError(f"policy is a Policy, such as Policy.drop_oldest(), not {type(policy).__name__}.")


def _size(payload: Payload) -> int:
    if isinstance(payload, bytes) or payload.isascii():
        return len(payload)
    try:
        return len(payload.encode())
    except UnicodeEncodeError as error:
        raise ValueError(f"The message cannot be sent as TEXT, which is UTF-8: {error.reason}.") from error
