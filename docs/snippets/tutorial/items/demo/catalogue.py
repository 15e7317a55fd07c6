"""The items of the auction and their highest bids, in an SQLite database that all workers share."""

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass
from typing import Any

Values = tuple[Any, ...] | dict[str, Any]

SCHEMA = """
CREATE TABLE IF NOT EXISTS items (
    item_id INTEGER PRIMARY KEY,
    title TEXT NOT NULL,
    price INTEGER NOT NULL,
    bidder TEXT,
    ends_at REAL NOT NULL
)
"""


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item. ``bidder`` is None until somebody bids, and ``ends_at`` is a Unix time."""

    item_id: int
    title: str
    price: int
    bidder: str | None
    ends_at: float


class Catalogue:
    """All items of the auction."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._query(SCHEMA)

    async def add(self, title: str, price: int, duration_s: float) -> Item:
        """Add an item, and return it."""
        [item] = await self._items(
            "INSERT INTO items (title, price, ends_at) VALUES (?, ?, ?) RETURNING *",
            (title, price, time.time() + duration_s),
        )
        return item

    async def all(self) -> list[Item]:
        """Return all items, the newest first."""
        return await self._items("SELECT * FROM items ORDER BY item_id DESC")

    async def find(self, item_id: int) -> Item | None:
        """Return an item, or None."""
        found = await self._items("SELECT * FROM items WHERE item_id = ?", (item_id,))
        return found[0] if found else None

    async def bid(self, item_id: int, amount: int, bidder: str) -> bool:
        """Raise the price, and return True; return False if the bid is too low or too late.

        One statement decides, so that two bids at the same moment cannot both win.
        """
        accepted = await self._items(
            """UPDATE items SET price = :amount, bidder = :bidder
               WHERE item_id = :item_id AND price < :amount AND ends_at > :now RETURNING *""",
            {"item_id": item_id, "amount": amount, "bidder": bidder, "now": time.time()},
        )
        return bool(accepted)

    async def _items(self, statement: str, values: Values = ()) -> list[Item]:
        # In a thread: the event loop must not wait for the disk.
        return [Item(**row) for row in await asyncio.to_thread(self._query, statement, values)]

    def _query(self, statement: str, values: Values = ()) -> list[sqlite3.Row]:
        with closing(sqlite3.connect(self._path)) as database, database:
            database.row_factory = sqlite3.Row
            return database.execute(statement, values).fetchall()
