"""A pool of database connections in the lifespan state, and idempotent writes from a WebSocket."""

from typing import Any

import falconws
from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


# start: pool
class Base(DeclarativeBase):
    pass


class Order(Base):
    __tablename__ = "orders"

    id: Mapped[str] = mapped_column(primary_key=True)
    item: Mapped[str]


class Database:
    """Creates the pool when the server starts, and closes it when the server stops."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def process_startup(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        self._engine = create_async_engine(self._url)
        async with self._engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
        scope["state"]["database"] = async_sessionmaker(self._engine)

    async def process_shutdown(self, scope: dict[str, Any], event: dict[str, Any]) -> None:
        await self._engine.dispose()
        # end: pool


# start: resource
class OrderResource:
    async def on_websocket(self, req: falconws.Request, ws: falconws.WebSocket) -> None:
        database: async_sessionmaker[AsyncSession] = req.state["database"]
        await ws.accept()
        async for order in ws:
            async with database() as session:
                session.add(Order(id=order["id"], item=order["item"]))
                try:
                    await session.commit()
                except IntegrityError:
                    # The client has sent this order before: confirm it again, but do not store it twice.
                    await session.rollback()
                items = list(await session.scalars(select(Order.item)))
            await ws.send_media({"confirmed": order["id"], "items": items})
            # end: resource


def create_app(url: str = "sqlite+aiosqlite:///orders.db") -> falconws.App:
    """Return the application for the database at *url*."""
    # start: app
    app = falconws.App(middleware=[Database(url)])
    # end: app
    app.ws_options.allowed_origins = "same-origin"
    app.add_route("/orders", OrderResource())
    return app
