"""A service whose processes share the work of a room."""

import asyncio
import logging
from typing import Any

import falconws

_logger = logging.getLogger(__name__)


# start: worker
class Mailer:
    """Sends a mail for each order; started with the application, in every process."""

    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub
        self.sent: list[Any] = []

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self._task = falconws.create_task(self._run())

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        while True:
            try:
                async for event in self._hub.listen("orders", group="mailers"):
                    if isinstance(event, falconws.Message):
                        await self._handle(event)
            except falconws.BrokerUnavailable:
                await asyncio.sleep(1)

    async def _handle(self, order: falconws.Message) -> None:
        try:
            await self.send_mail(order.media)
        except Exception:
            # One order that cannot be handled must not end the loop.
            _logger.exception("Order %s was not handled", order.position)

    async def send_mail(self, order: Any) -> None:
        self.sent.append(order)
        # end: worker


def make_app(url: str = "memory://") -> tuple[falconws.App, falconws.Hub, Mailer]:
    hub = falconws.Hub(url)
    mailer = Mailer(hub)
    return falconws.App(middleware=[hub, mailer]), hub, mailer
