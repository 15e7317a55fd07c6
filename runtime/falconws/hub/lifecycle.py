"""Starts and stops a hub: with an application, as its middleware, or with an ``async with`` block.

Reports its health and its counters. Knows nothing of what a hub is used for.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, MutableMapping
from types import TracebackType
from typing import Any, Self

import falcon.asgi

from .broker import Broker, Health
from .dispatcher import Dispatcher
from .stats import Stats

__all__ = ("HubLifecycle",)


class HubLifecycle:
    """Makes a dispatcher for each run, and ends it.

    Args:
        name: Distinguishes several hubs of one application.
        make_broker: Returns a broker that is not started; called at once, so that it raises at once if none can work.
        make_dispatcher: Returns a dispatcher that is not started.
        is_shared: Whether several processes can share the broker.
    """

    def __init__(
        self,
        name: str | None,
        make_broker: Callable[[], Broker],
        make_dispatcher: Callable[[Broker], Dispatcher],
        *,
        is_shared: bool,
    ) -> None:
        self._name = name
        self._make_broker = make_broker
        self._make_dispatcher = make_dispatcher
        self._is_shared = is_shared
        self._stats = Stats()
        self._dispatcher: Dispatcher | None = None
        self._has_run = False
        self._first_broker: Broker | None = make_broker()

    async def process_startup(self, scope: MutableMapping[str, Any], event: Mapping[str, Any]) -> None:
        """Start with the application (Falcon's middleware interface).

        If the server has a lifespan state, its readiness endpoint reports ``health()`` from now on.

        Raises:
            RuntimeError: The application has another hub of this name; or several workers serve it, and the hub is in
                the memory of each.
        """
        workers = scope.get("extensions", {}).get("falconws.server", {}).get("workers", 1)
        if workers > 1 and not self._is_shared:
            raise RuntimeError(
                f"{workers} workers serve the application, and a hub with memory:// reaches the clients of one of "
                "them: give it the URL of Redis or NATS, or serve with --workers 1."
            )
        names = scope.setdefault("falconws.hubs", set())
        if self._name in names:
            which = "without a name" if self._name is None else f"with the name {self._name!r}"
            raise RuntimeError(f"This application has two hubs {which}: distinguish them with Hub(name=...).")
        names.add(self._name)
        await self.start()
        state = scope.get("state")
        if state is not None:
            state.setdefault("falconws.readiness", []).append(self._problem)

    async def process_shutdown(self, scope: Mapping[str, Any], event: Mapping[str, Any]) -> None:
        """Stop with the application (Falcon's middleware interface)."""
        await self.stop()

    async def process_request(self, req: falcon.asgi.Request, resp: falcon.asgi.Response) -> None:
        """Set ``req.context.hub`` or ``req.context.hubs[name]`` (Falcon's middleware interface)."""
        self._set_context(req)

    async def process_request_ws(self, req: falcon.asgi.Request, ws: falcon.asgi.WebSocket) -> None:
        """Set ``req.context.hub`` (Falcon's middleware interface)."""
        self._set_context(req)

    def _set_context(self, req: falcon.asgi.Request) -> None:
        context = req.context
        if self._name is None:
            context.hub = self
        elif hasattr(context, "hubs"):
            context.hubs[self._name] = self
        else:
            context.hubs = {self._name: self}

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
        """Start. A broker that is away is not an error: ``health()`` reports it, and the hub keeps trying to connect.

        Raises:
            RuntimeError: The hub is running.
        """
        if self._dispatcher is not None:
            raise RuntimeError("This hub is running: add a hub to one application, once.")
        # A new broker for each start: the contents of a broker in memory belong to one run.
        broker, self._first_broker = self._first_broker or self._make_broker(), None
        dispatcher = self._dispatcher = self._make_dispatcher(broker)
        try:
            await dispatcher.start()
        except BaseException:
            self._dispatcher = None
            raise

    async def stop(self) -> None:
        """End all subscriptions and listeners, and stop the broker, whatever its state."""
        dispatcher, self._dispatcher = self._dispatcher, None
        if dispatcher is not None:
            self._has_run = True
            self._stats = dispatcher.stats
            await dispatcher.stop()

    async def health(self) -> Health:
        """Return whether the hub can publish and deliver, and if not, the reason in one line; for readiness probes.

        Returns within ``timeout_s`` and never raises.
        """
        if self._dispatcher is None:
            return Health(False, "the hub is not running")
        return await self._dispatcher.health()

    async def _problem(self) -> str | None:
        health = await self.health()
        return None if health.ok else f"{'hub' if self._name is None else f'hub {self._name}'}: {health.detail}"

    @property
    def stats(self) -> Stats:
        """The counters of this hub since its start."""
        return self._stats if self._dispatcher is None else self._dispatcher.measure()

    @property
    def name(self) -> str | None:
        """The name that tells this hub from others of the application, or None."""
        return self._name

    @property
    def local_rooms(self) -> list[str]:
        """The rooms that connections and listeners of this process follow now, sorted."""
        dispatcher = self._dispatcher
        return [] if dispatcher is None else sorted(name for name, room in dispatcher.rooms.items() if room.followers)

    def _running(self) -> Dispatcher:
        if self._dispatcher is None and self._has_run:
            raise RuntimeError("The hub has stopped, because its application has.")
        if self._dispatcher is None:
            raise RuntimeError(
                "The hub is not running: add it to the app, falconws.App(middleware=[hub]), and let the server run the "
                "lifespan; or use `async with hub:`."
            )
        return self._dispatcher
