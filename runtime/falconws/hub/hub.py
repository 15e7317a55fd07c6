"""The hub: the API with which applications broadcast messages to rooms.

Checks all arguments. ``HubLifecycle`` starts and stops it with an application, and the ``Dispatcher`` is what runs in
between; rooms, subscribers and policies have their own modules.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Literal, overload

from falcon import WebSocketPayloadType

from falconws.closecodes import FORBIDDEN, check_close

from .broadcast import Encode
from .broker import MAX_GROUP_LAG_S, Broker
from .brokers import make_broker
from .checks import check_count, check_function, check_id, check_name, check_seconds
from .codec import Media
from .connection_subscriber import Socket, check_socket
from .dispatcher import Dispatcher
from .events import Message
from .history_rules import RoomHistory, check_history
from .lifecycle import HubLifecycle
from .limits import HubLimits
from .listener import Listener
from .policy import Policy
from .position import BEGINNING, Position, check_position
from .presence import encode_info
from .publishing import Publishing
from .replay import NOTHING, Recent
from .stats import Dropped
from .subscription import Subscription

__all__ = ("Hub",)

_LISTENER_POLICY = Policy.disconnect(max_lag_s=60.0)
_GROUP_POLICY = Policy.disconnect(max_lag_s=MAX_GROUP_LAG_S)


class Hub(HubLifecycle):
    """Rooms to which connections subscribe and any code can publish.

    Add it to the application as middleware; it then starts and stops with the application::

        hub = falconws.Hub()
        app = falconws.App(middleware=[hub])

    Resources can use it as ``req.context.hub``, and a second one, ``Hub(name="alerts")``, as
    ``req.context.hubs["alerts"]``.

    Without an application, ``async with hub:`` does the same. A hub belongs to the event loop in which it was started.

    Args:
        url: The broker through which several processes share messages: ``redis://host:6379/0``, ``nats://host:4222``;
            or ``memory://``, which needs nothing and does not leave the process. A ``Broker`` of your own works too.
        name: Distinguishes several hubs of one application. The hub without a name is ``req.context.hub``.
        history: How much of each room is kept for clients that resume. ``None``: the limits that another process has
            given the broker's rooms, or 100 messages for 300 s if none has. So a process that only publishes does not
            shorten the history. A mapping gives limits to rooms by name or prefix, and the longest one that fits
            counts: ``{"chat:*": HistoryLimits(messages=500), "*": HistoryLimits()}``.
        policy: For subscribers that do not keep up, unless ``subscribe()`` gives another (default:
            ``Policy.disconnect()``).
        lease_s: Seconds after which the members of a process that died are no longer present.
        timeout_s: Seconds after which a call to the broker fails with ``BrokerUnavailable``.
        limits: How many rooms this process may use, and how long they are kept (default: ``HubLimits()``).
        media_handlers: As in ``app.ws_options.media_handlers`` (default: JSON for TEXT, MessagePack for BINARY).
        on_drop: Called with a ``Dropped`` when a policy drops messages; must not block.

    Raises:
        TypeError, ValueError: There is no broker for *url*, a package that it needs is not installed, or another
            argument cannot be used.
    """

    def __init__(
        self,
        url: str | Broker = "memory://",
        *,
        name: str | None = None,
        history: RoomHistory | None = None,
        policy: Policy | None = None,
        lease_s: float = 30.0,
        timeout_s: float = 5.0,
        limits: HubLimits | None = None,
        media_handlers: Mapping[WebSocketPayloadType, Any] | None = None,
        on_drop: Callable[[Dropped], object] | None = None,
    ) -> None:
        # A class has these methods too.
        if isinstance(url, type) or not isinstance(url, str | Broker):
            raise TypeError(f"Hub takes a URL, or a broker with all methods of falconws.hub.Broker, not {url!r}.")
        check_history(history)
        _check_policy(policy)
        check_seconds("Hub", "lease_s", lease_s)
        check_seconds("Hub", "timeout_s", timeout_s)
        if limits is not None and not isinstance(limits, HubLimits):
            raise TypeError(f"limits is a HubLimits(rooms=..., ...), not {type(limits).__name__}.")
        if on_drop is not None:
            check_function("on_drop", on_drop, "a Dropped")
        if name is not None and not (isinstance(name, str) and name):
            raise TypeError(f"name is a str that is not empty, or None for the only hub; not {name!r}.")
        self._policy = policy or Policy.disconnect()
        self._media = Media(media_handlers)
        self._publishing = Publishing(self._media)
        limits = limits or HubLimits()

        def make() -> Broker:
            if not isinstance(url, str):
                return url
            return make_broker(url, history=history, timeout_s=timeout_s, limits=limits)

        def make_dispatcher(broker: Broker) -> Dispatcher:
            return Dispatcher(broker, self._media, lease_s=lease_s, timeout_s=timeout_s, limits=limits, on_drop=on_drop)

        super().__init__(name, make, make_dispatcher, is_shared=url != "memory://")

    # Publishing

    @overload
    async def publish(
        self,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType = ...,
        *,
        key: str | None = ...,
        exclude: Subscription | str | None = ...,
        keep: Literal[True] = ...,
    ) -> Position: ...

    @overload
    async def publish(
        self,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType = ...,
        *,
        key: str | None = ...,
        exclude: Subscription | str | None = ...,
        keep: Literal[False],
    ) -> None: ...

    async def publish(
        self,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT,
        *,
        key: str | None = None,
        exclude: Subscription | str | None = None,
        keep: bool = True,
    ) -> Position | None:
        """Send a message to all followers of *room*, in all processes, and return its position.

        The message is encoded once. Messages of one task to one room arrive in order. Returns when the broker has the
        message, not when clients have it.

        Args:
            room: Any name, 1 to 255 bytes of UTF-8. A room exists as long as it is followed or its history is kept.
            media: ``str`` is sent as TEXT, ``bytes`` as BINARY; anything else is serialized as in ``ws.send_media()``.
            payload_type: The media handler that serializes.
            key: What the message is about, for subscribers with ``Policy.conflate()`` and ``latest=True``.
            exclude: The subscription that does not receive the message, or its ``id``; in any process. A client that
                resumes is not sent it either, if it resumes with ``subscribe(previous_id=...)``.
            keep: False: the message is delivered to those who follow the room now, as an ``Ephemeral``. It is not in
                the history and has no position, so None is returned. For typing indicators and cursors.

        Raises:
            BrokerUnavailable: It is not known whether the message will arrive.
            HubLimitReached: This process uses too many rooms.
            RuntimeError: The hub is not running, or belongs to another event loop.
            TypeError, ValueError: *media* cannot be serialized, or another argument cannot be used.
        """
        return await self._publishing.publish(self._running(), room, media, payload_type, key, exclude, keep)

    async def publish_many(
        self,
        room: str,
        messages: Iterable[object],
        payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT,
        *,
        key: Callable[[Any], str | None] | None = None,
        exclude: Subscription | str | None = None,
    ) -> list[Position]:
        """Send several messages to all followers of *room*, in order, and return their positions.

        Over a broker, it takes one round trip for a few hundred messages instead of one for each.

        Args:
            room: As in ``publish()``.
            messages: What ``publish()`` takes as *media*.
            payload_type: As in ``publish()``.
            key: Returns the key of a message.
            exclude: As in ``publish()``.

        Raises:
            BrokerUnavailable: It is not known which of the messages will arrive.
            HubLimitReached, RuntimeError, TypeError, ValueError: As in ``publish()``; nothing is sent then.
        """
        return await self._publishing.publish_many(self._running(), room, messages, payload_type, key, exclude)

    def publish_threadsafe(
        self,
        room: str,
        media: object,
        payload_type: WebSocketPayloadType = WebSocketPayloadType.TEXT,
        *,
        key: str | None = None,
        exclude: Subscription | str | None = None,
        keep: bool = True,
        timeout_s: float | None = None,
    ) -> Position | None:
        """Publish from a thread other than the event loop's, with the arguments of ``publish()``.

        Args:
            timeout_s: Seconds to wait at most for the event loop (default: no limit).

        Raises:
            TimeoutError: It took longer; the message may still be published.
        """
        if timeout_s is not None:
            check_seconds("publish_threadsafe", "timeout_s", timeout_s, or_zero=True)
        loop = self._running().loop
        try:
            here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            here = None
        if here is loop:
            raise RuntimeError("publish_threadsafe() would block its own event loop: await hub.publish(...).")
        publishing = self._publishing.publish(self._running(), room, media, payload_type, key, exclude, keep)
        future = asyncio.run_coroutine_threadsafe(publishing, loop)
        try:
            return future.result(timeout_s)
        except TimeoutError:
            if future.done():
                # It has finished at the last moment, or publish() itself has raised TimeoutError.
                return future.result()
            raise TimeoutError(
                f"The event loop has not published the message within {timeout_s:g} s; it may still do so."
            ) from None

    # Subscribing

    def subscribe(
        self,
        ws: Socket,
        *rooms: str,
        policy: Policy | None = None,
        since: Position | Mapping[str, Position] | None = None,
        history: int = 0,
        latest: bool = False,
        member: str | None = None,
        info: object = None,
        grace_s: float = 0.0,
        encode: Encode | None = None,
        previous_id: str | None = None,
    ) -> Subscription:
        """Return a context manager that sends the events of *rooms* to the client of *ws* while its block lasts.

        Events are sent in the background, and the responder can receive::

            async with hub.subscribe(ws, "room:42"):
                async for message in ws:
                    await hub.publish("room:42", message)

        Args:
            ws: A connection that is accepted when the block begins.
            rooms: One or several names; ``subscription.join()`` adds more later.
            policy: What happens when the client does not keep up (default: the hub's policy).
            since: The position of a client that resumes: what it has missed is sent first, once and in order. For
                several rooms a mapping. If the history does not reach back, ``subscription.gap`` is true.
            history: How many of the newest messages of each room are sent first, if there is no *since* for it: for
                clients that are new to the room.
            latest: Send the newest message of each ``key`` first, if there is no *since*: for rooms that hold state,
                such as prices. Neither reaches back further than the history that the broker keeps.
            member: The name under which ``present()`` reports the client while the block lasts.
            info: What ``present()`` returns of the member; anything that JSON can express. Only with *member*: if that
                may be None, omit both. ``subscription.update_info()`` replaces it.
            grace_s: Seconds for which the member stays present after the connection has ended. A client that comes back
                within them, as one does that reloads its page, never left.
            encode: Makes what the client is sent for an event (``Message``, ``Gap``, ``Joined``, ``Updated``,
                ``Left``): ``str``, ``bytes``, an object for the TEXT media handler, or None for nothing. Called once
                for each event and all subscribers with the same function, so define it once, outside of the responder.
                By default messages are sent as they were published and other events are not sent; a client whose
                messages the broker has lost is disconnected (1013, "messages are missing"), unless its policy drops
                messages anyway.
            previous_id: The ``id`` of the subscription that the client had before, if it resumes: what excluded it is
                not replayed.

        Raises:
            TypeError, ValueError: An argument cannot be used.
        """
        check_socket(ws)
        check_count("subscribe", "history", history, least=0)
        for room in rooms:
            check_name("room", room)
        if member is not None:
            check_name("member", member)
        elif info is not None:
            raise ValueError("info describes a member: give member too.")
        check_seconds("subscribe", "grace_s", grace_s, or_zero=True)
        if previous_id is not None:
            check_id("previous_id", previous_id)
        _check_policy(policy)
        if encode is not None:
            check_function("encode", encode, "an event")
        try:
            hash(encode)
        except TypeError:
            raise TypeError(
                "encode has to be hashable, as functions are: it is called once for all subscribers that share it."
            ) from None
        return Subscription(
            self._running(),
            ws,
            rooms,
            policy=policy or self._policy,
            since=since,
            member=member,
            info=encode_info(info),
            grace_s=grace_s,
            encode=encode,
            previous_id=previous_id,
            recent=Recent(history, latest) if history or latest else NOTHING,
        )

    def listen(
        self,
        *rooms: str,
        since: Position | Mapping[str, Position] | None = None,
        policy: Policy | None = None,
        group: str | None = None,
    ) -> Listener:
        """Return an asynchronous iterator over the messages of *rooms*, for code that has no socket::

            async for event in hub.listen("orders"):
                match event:
                    case falconws.Message(): ...
                    case falconws.Gap(): ...

        The loop ends when the hub stops. Arguments are as in ``subscribe()``, but the policy is, by default,
        ``Policy.disconnect(max_lag_s=60)``: a loop that does not keep up receives ``ListenerTooSlow``. The first step
        raises ``BrokerUnavailable`` if the broker cannot be reached within ``timeout_s``; a loop that has begun
        continues after an outage of the broker.

        With *group*, each message goes to one of the loops of that group, in all processes: to the first one that is
        ready for it. It is not repeated if that loop fails. Every loop receives a ``Gap``. The default policy then is
        ``Policy.disconnect(max_lag_s=3600)``, because the messages of other loops wait while a loop works. A longer lag
        is refused: claims are forgotten after that.
        """
        for room in rooms:
            check_name("room", room)
        _check_policy(policy)
        if group is not None:
            check_name("group", group)
            if policy is not None and (policy.max_lag_s is None or policy.max_lag_s > MAX_GROUP_LAG_S):
                raise ValueError(
                    f"A group needs Policy.disconnect(max_lag_s=...) with at most {MAX_GROUP_LAG_S:g} s: after that, "
                    "the hub forgets which messages other loops have processed."
                )
        dispatcher = self._running()
        policy = policy or (_LISTENER_POLICY if group is None else _GROUP_POLICY)
        return Listener(dispatcher, rooms, policy=policy, since=since, group=group, broker=dispatcher.broker)

    async def history(self, room: str, *, limit: int = 50, before: Position | None = None) -> list[Message]:
        """Return the newest *limit* messages of *room* that the broker keeps, the oldest of them first.

        Args:
            room: Its name; it need not be followed.
            limit: How many messages at most.
            before: Return messages before this position: that of the first message of the page before, to load older
                ones. A position of another epoch has nothing before it.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
            HubLimitReached: This process uses too many rooms.
            TypeError, ValueError: An argument cannot be used.
        """
        dispatcher = self._running()
        dispatcher.check_loop()
        check_name("room", room)
        check_count("history", "limit", limit)
        if before is not None:
            check_position("before is a Position", before)
        dispatcher.use(room, refused="read")
        found = await dispatcher.broker.history(room, BEGINNING)
        publications = list(found.publications)
        if before is not None:
            same_epoch = before.epoch == found.top.epoch
            publications = [p for p in publications if same_epoch and p.position.offset < before.offset]
        return [dispatcher.message(publication) for publication in publications[-limit:]]

    async def disconnect(
        self,
        *,
        member: str,
        room: str | None = None,
        code: int = FORBIDDEN,
        reason: str | None = None,
    ) -> int:
        """Close the connections of *member*, in all processes, and return how many there were.

        Takes half a second, in which other processes answer. The member may connect again unless your
        responder refuses it.

        Args:
            member: As in ``subscribe(member=...)``.
            room: Only connections that follow this room.
            code: The close code (default: 4403, which stands for HTTP's 403 Forbidden).
            reason: At most 123 bytes of UTF-8, for the client.

        Raises:
            BrokerUnavailable: Only connections of this process have been closed.
            TypeError, ValueError: An argument cannot be used.
        """
        dispatcher = self._running()
        dispatcher.check_loop()
        check_name("member", member)
        if room is not None:
            check_name("room", room)
        check_close(code, reason)
        return await dispatcher.control.disconnect(member, room, int(code), reason)

    async def present(self, room: str) -> dict[str, Any]:
        """Return the members present in *room*, in all processes: the info of each, by name.

        Concurrent callers may share the infos: do not change them. If this process follows the room with an ``encode``
        function, ``Joined`` and ``Left`` keep the list true, after an outage of the broker too.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        return await self._checked("room", room).members(room)

    async def present_count(self, room: str) -> int:
        """Return how many members are present in *room*, in all processes.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        return (await self.present_counts([room]))[room]

    async def present_counts(self, rooms: Sequence[str]) -> dict[str, int]:
        """Return how many members are present in each of *rooms*, in all processes.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        return await self._checked("room", *rooms).roster.count(rooms)

    async def where(self, member: str) -> list[str]:
        """Return the rooms in which *member* is present, in all processes, sorted.

        Raises:
            BrokerUnavailable: The broker cannot be reached.
        """
        return await self._checked("member", member).roster.rooms_of(member)

    def _checked(self, kind: str, *names: str) -> Dispatcher:
        dispatcher = self._running()
        dispatcher.check_loop()
        for name in names:
            check_name(kind, name)
        return dispatcher


def _check_policy(policy: Policy | None) -> None:
    if policy is not None and not isinstance(policy, Policy):
        raise TypeError(f"policy is a Policy, such as Policy.drop_oldest(), not {type(policy).__name__}.")
