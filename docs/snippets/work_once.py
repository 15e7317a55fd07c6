"""A service whose processes share the work of a room."""

import asyncio
from typing import Any

import falconws


# start: worker
class Mailer:
    """Sends a mail for each order; started with the application, in every process."""

    def __init__(self, hub: falconws.Hub) -> None:
        self._hub = hub
        self.sent: list[Any] = []

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self._task = asyncio.create_task(self._run())

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self._task.cancel()

    async def _run(self) -> None:
        async for event in self._hub.listen("orders", group="mailers"):
            if isinstance(event, falconws.Message):
                await self.send_mail(event.media)

    async def send_mail(self, order: Any) -> None:
        self.sent.append(order)
        # end: worker


def make_app(url: str = "memory://") -> tuple[falconws.App, falconws.Hub, Mailer]:
    hub = falconws.Hub(url)
    mailer = Mailer(hub)
    return falconws.App(middleware=[hub, mailer]), hub, mailer
