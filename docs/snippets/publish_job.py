"""Publishes a message from a program without an event loop, such as a cron job or a Celery task."""

import asyncio
import os

import falconws


# start: publish
def publish(room: str, media: object) -> None:
    """Publish to a room of the service, and return when the broker has the message."""
    asyncio.run(_publish(room, media))


async def _publish(room: str, media: object) -> None:
    async with falconws.Hub(os.environ["DEMO_HUB_URL"]) as hub:
        await hub.publish(room, media)
        # end: publish
