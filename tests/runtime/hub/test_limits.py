"""Quotas: rooms of a subscription and of the process, and what is replayed."""

import asyncio

import pytest

from falconws import HistoryLimits, Hub, HubLimits
from falconws.hub import Gap, HubLimitReached, Message
from falconws.hub.limits import RoomQuota

from .scripted import ScriptedConnection, ScriptedSocket, settle


async def test_a_subscription_follows_no_more_rooms_than_it_may() -> None:
    async with Hub(limits=HubLimits(rooms_per_connection=2)) as hub:
        async with hub.subscribe(ScriptedSocket(), "a") as subscription:
            with pytest.raises(HubLimitReached, match=r"'c' is not joined: HubLimits\(rooms_per_connection=2\)"):
                await asyncio.gather(subscription.join("b"), subscription.join("c"))
            await subscription.leave("a")
            await subscription.join("c")
            assert set(subscription.positions) == {"b", "c"}
        with pytest.raises(HubLimitReached):
            await hub.subscribe(ScriptedSocket(), "a", "b", "c").__aenter__()
        await settle()
        assert hub.stats.refused == 2
        assert hub._dispatcher is not None
        assert hub._dispatcher.rooms == {}


async def test_a_process_follows_no_more_rooms_than_it_may() -> None:
    async with Hub(limits=HubLimits(rooms=1)) as hub, hub.subscribe(ScriptedSocket(), "a"):
        async with hub.subscribe(ScriptedSocket(), "a"):
            pass
        with pytest.raises(HubLimitReached, match="this process follows 1 rooms"):
            await hub.subscribe(ScriptedSocket(), "b").__aenter__()
        assert hub.stats.refused == 1


@pytest.mark.parametrize(("limit", "taken"), [(35, ["gap", "2" * 10, "3" * 10, "4" * 10]), (5, ["gap"]), (None, 5)])
async def test_a_client_that_missed_more_than_is_replayed_gets_a_gap(limit: int | None, taken: object) -> None:
    def tell(event: object) -> object:
        return event.payload if isinstance(event, Message) else "gap" if isinstance(event, Gap) else None

    connection = ScriptedConnection()
    async with Hub(history=HistoryLimits(messages=50), limits=HubLimits(replay_bytes=limit)) as hub:
        since = await hub.publish("room", "seen")
        for number in range(5):
            await hub.publish("room", str(number) * 10)
        async with hub.subscribe(ScriptedSocket(connection), "room", since=since, encode=tell) as subscription:
            await subscription.start()
            await hub.publish("room", "next")
            await settle()
            assert subscription.gap == (limit is not None)
    expected = [str(number) * 10 for number in range(5)] if taken == 5 else taken
    assert connection.taken == [*expected, "next"]


async def test_rooms_that_were_left_or_published_to_count() -> None:
    async with Hub(limits=HubLimits(rooms=3)) as hub:
        async with hub.subscribe(ScriptedSocket(), "left"):
            pass
        await settle()
        await hub.publish("published to", "x")
        await hub.history("read")
        for _ in range(2):
            with pytest.raises(HubLimitReached, match="'new' is not published to: this process follows 0 rooms"):
                await hub.publish("new", "x")
        with pytest.raises(HubLimitReached, match="'new' is not joined"):
            await hub.subscribe(ScriptedSocket(), "new").__aenter__()
        with pytest.raises(HubLimitReached, match="'new' is not read"):
            await hub.history("new")
        with pytest.raises(HubLimitReached):
            await hub.publish_many("new", ["x"])
        assert hub.stats.refused == 5
        # Those that it uses already go on; what nobody keeps uses none.
        await hub.publish("published to", "y")
        async with hub.subscribe(ScriptedSocket(), "left"):
            await hub.publish("left", "x")
        await hub.publish("new", "x", keep=False)


def test_a_room_counts_until_it_was_unused_for_its_time() -> None:
    quota = RoomQuota(HubLimits(rooms=2, room_ttl_s=60))
    quota.use("a", 0, 100.0, refused="joined")
    quota.use("b", 0, 110.0, refused="joined")
    quota.use("a", 0, 120.0, refused="joined")
    with pytest.raises(HubLimitReached, match="has used 2 others within 60 s"):
        quota.use("c", 0, 169.0, refused="joined")
    quota.use("c", 0, 170.0, refused="joined")
    with pytest.raises(HubLimitReached):
        quota.use("b", 0, 179.0, refused="joined")
    quota.follow("c")
    quota.use("b", 1, 180.0, refused="joined")


def test_clients_cannot_make_any_number_of_rooms_by_default() -> None:
    quota = RoomQuota(HubLimits())
    for number in range(100_000):
        quota.use(f"room {number}", 0, number * 0.0002, refused="joined")
    with pytest.raises(HubLimitReached):
        quota.use("one more", 0, 20.0, refused="joined")


@pytest.mark.parametrize("limits", [{"rooms": 0}, {"rooms_per_connection": -1}, {"replay_bytes": 0}])
def test_limits_are_positive(limits: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=next(iter(limits))):
        HubLimits(**limits)
