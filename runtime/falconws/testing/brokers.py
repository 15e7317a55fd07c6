"""The promises of every broker of the hub, as checks that any package can run against its own.

Each check makes brokers with the factory that it is given: two, where it stands for two processes on one server. Each
uses rooms of its own. Knows the broker port only; runs on any server that the factory connects to.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable

from falconws.hub.broker import Entry, EphemeralPublication, HistoryLimits, Member, Payload
from falconws.hub.position import Position

from .broker_harness import (
    LIMITS,
    BrokerFactory,
    Node,
    Recorder,
    expect,
    expect_chain,
    new_room,
    soon,
    started,
    until,
)

__all__ = ("BROKER_CHECKS", "BrokerFactory", "check_broker")

_LEASE_S = 60.0
_SHORT_LEASE_S = 1.0
_LEASE_TO_RENEW_S = 3.0
"""Longer than a renewal may take to come on a busy machine, and to be waited for."""


# Messages


async def publish_returns_positions_that_grow(factory: BrokerFactory) -> None:
    async with started(factory, 1) as [node]:
        room = new_room()
        positions = [await node.broker.publish(room, f"{number}") for number in range(5)]
        expect(len({position.epoch for position in positions}), 1, "the number of epochs")
        expect(sorted(set(positions)), positions, "positions in the order of publishing")


async def a_subscriber_gets_all_after_its_position(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, subscriber]:
        room = new_room()

        async def publish() -> None:
            for number in range(200):
                await publisher.broker.publish(room, str(number))

        publishing = asyncio.create_task(publish())
        await publisher.broker.publish(new_room(), "elsewhere")
        top = await subscriber.broker.subscribe(room)
        await soon(publishing, "200 messages are published")
        last = await publisher.broker.publish(room, "last")
        await subscriber.sink.until(lambda: subscriber.sink.payloads(room)[-1:] == ["last"], "the last message comes")
        delivered = [p for p in subscriber.sink.publications if p.position.offset > top.offset]
        expect_chain(delivered, top, "what comes after subscribe()")
        expect(delivered[-1].position, last, "the position of the last delivery")


async def payloads_come_back_as_they_were(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, subscriber]:
        room = new_room()
        start = await subscriber.broker.subscribe(room)
        payloads: list[Payload] = [
            "",
            b"",
            "text",
            b"bytes",
            "\0 é 世界 😀",
            bytes(range(256)),
            "x" * 100_000,
            b"y" * 100_000,
        ]
        keys = [None, "", "key", "é:1", None, "a b", "*.>", None]
        for payload, key in zip(payloads, keys, strict=True):
            await publisher.broker.publish(room, payload, key=key)
        await subscriber.sink.until(lambda: len(subscriber.sink.publications) == len(payloads), "all payloads come")
        expect(
            [(p.payload, p.key) for p in subscriber.sink.publications], list(zip(payloads, keys, strict=True)), "live"
        )
        history = await subscriber.broker.history(room, start)
        expect([(p.payload, p.key) for p in history.publications], list(zip(payloads, keys, strict=True)), "history")
        expect([type(p.payload) for p in history.publications], [type(p) for p in payloads], "types in the history")
        expect([type(p.payload) for p in subscriber.sink.publications], [type(p) for p in payloads], "types")


async def several_messages_are_published_in_order(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, subscriber]:
        room = new_room()
        start = await subscriber.broker.subscribe(room)
        messages: list[tuple[Payload, str | None]] = [(str(number), None) for number in range(50)]
        messages += [(b"\0", ""), ("", "key")]
        positions = await publisher.broker.publish_many(room, messages, exclude="abc123")
        expect(await publisher.broker.publish_many(room, []), [], "the positions of no messages")
        last = await publisher.broker.publish(room, "last")
        await subscriber.sink.until(lambda: subscriber.sink.payloads(room)[-1:] == ["last"], "the last message comes")
        delivered = subscriber.sink.publications
        expect_chain(delivered, start, "what was published")
        expect([p.position for p in delivered], [*positions, last], "the positions")
        expect([(p.payload, p.key) for p in delivered[:-1]], messages, "the messages")
        expect({p.exclude for p in delivered[:-1]}, {"abc123"}, "the excluded subscription")
        history = await subscriber.broker.history(room, start)
        expect(list(history.publications), delivered, "the history")


async def a_message_is_claimed_by_one(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [one, other]:
        room = new_room()
        positions = [await one.broker.publish(room, str(number)) for number in range(3)]
        claims = [
            node.broker.claim(room, "group", position, claimant)
            for position in positions
            for node, claimant in ((one, "a"), (other, "b"), (other, "c"))
        ]
        taken = await soon(asyncio.gather(*claims), "claims return")
        expect([sum(taken[first : first + 3]) for first in (0, 3, 6)], [1, 1, 1], "the claims of each message")
        winner = "abc"[taken.index(True)]
        expect(await other.broker.claim(room, "group", positions[0], winner), True, "a claim that is asked for again")
        expect(await other.broker.claim(room, "group 2", positions[0], "d"), True, "a claim of another group")
        expect(await other.broker.claim(new_room(), "group", positions[0], "d"), True, "a claim in another room")


async def a_broadcast_is_delivered_and_not_kept(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, subscriber]:
        room = new_room()
        first = await publisher.broker.publish(room, "first")
        start = await subscriber.broker.subscribe(room)
        expected = [
            EphemeralPublication(room, "text", "key", None),
            EphemeralPublication(room, b"\0\n", None, "abc123"),
            EphemeralPublication(room, "", "", "abc123"),
        ]
        for message in expected:
            await publisher.broker.broadcast(room, message.payload, key=message.key, exclude=message.exclude)
        await publisher.broker.broadcast(new_room(), "elsewhere")
        second = await publisher.broker.publish(room, "second")
        sink = subscriber.sink
        await sink.until(lambda: len(sink.ephemeral) >= 3 and sink.payloads(room)[-1:] == ["second"], "all come")
        expect(sink.ephemeral, expected, "what was broadcast")
        expect(start, first, "the position after the first publication")
        history = await subscriber.broker.history(room, first)
        expect([p.position for p in history.publications], [second], "the positions in the history")
        expect(history.complete, True, "complete")


async def an_excluded_subscription_is_named_live_and_in_the_history(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, subscriber]:
        room = new_room()
        start = await subscriber.broker.subscribe(room)
        await publisher.broker.publish(room, "to all")
        await publisher.broker.publish(room, "not to one", key="key", exclude="abc123")
        await subscriber.sink.until(lambda: len(subscriber.sink.payloads(room)) >= 2, "both come")
        expected = [(None, None), ("key", "abc123")]
        expect([(p.key, p.exclude) for p in subscriber.sink.publications], expected, "delivered key and exclude")
        history = await publisher.broker.history(room, start)
        expect([(p.key, p.exclude) for p in history.publications], expected, "key and exclude in the history")


async def everybody_sees_one_order(factory: BrokerFactory) -> None:
    async with started(factory, 2) as nodes:
        room = new_room()
        start = await nodes[0].broker.subscribe(room)
        await nodes[1].broker.subscribe(room)

        async def publish(node: Node, name: str) -> None:
            for number in range(20):
                await node.broker.publish(room, f"{name}-{number}")

        async with asyncio.TaskGroup() as group:
            for index in range(10):
                group.create_task(publish(nodes[index % 2], str(index)))
        for node in nodes:
            await node.sink.until(lambda node=node: len(node.sink.publications) >= 200, "200 messages come")  # type: ignore[misc]
            expect_chain(node.sink.publications, start, "what ten concurrent publishers have sent")
            for index in range(10):
                own = [p for p in node.sink.payloads(room) if str(p).startswith(f"{index}-")]
                expect(own, [f"{index}-{number}" for number in range(20)], f"the order of publisher {index}")
        expect(nodes[0].sink.publications, nodes[1].sink.publications, "what two processes see")


async def rooms_are_separate(factory: BrokerFactory) -> None:
    async with started(factory, 1) as [node]:
        prefix = new_room()
        names = [
            prefix + suffix for suffix in ("", ".a", ".a.b", ".*", ".>", " b", ":c", "/d", "{e}", "é世", "%2E", "\\")
        ]
        names.append((prefix + "x" * 255)[:255])
        for name in names:
            await node.broker.subscribe(name)
        for name in names:
            await node.broker.publish(name, name)
        await node.sink.until(lambda: len(node.sink.publications) >= len(names), "one message a room comes")
        # Each room has an order, and not all together.
        found = sorted((p.room, str(p.payload)) for p in node.sink.publications)
        expect(found, sorted((name, name) for name in names), "rooms and payloads")


async def unsubscribing_ends_deliveries(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, subscriber]:
        room, other = new_room(), new_room()
        await subscriber.broker.subscribe(room)
        await subscriber.broker.subscribe(other)
        await publisher.broker.publish(room, "1")
        await subscriber.sink.until(lambda: bool(subscriber.sink.publications), "the first message comes")
        await subscriber.broker.unsubscribe(room)
        await subscriber.broker.unsubscribe(room)
        await publisher.broker.publish(room, "2")
        await publisher.broker.publish(other, "3")
        await subscriber.sink.until(lambda: subscriber.sink.payloads(other) == ["3"], "the other room's message comes")
        expect(subscriber.sink.payloads(room), ["1"], "what was delivered of the room that was left")
        top = await subscriber.broker.subscribe(room)
        await publisher.broker.publish(room, "4")
        await subscriber.sink.until(lambda: len(subscriber.sink.payloads(room)) == 2, "the message after coming back")
        expect_chain(subscriber.sink.publications[-1:], top, "what comes after coming back")


# History


async def history_returns_what_came_after(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, reader]:
        room = new_room()
        start = await publisher.broker.subscribe(room)
        positions = [start, *[await publisher.broker.publish(room, str(number)) for number in range(10)]]
        for index, since in enumerate(positions):
            history = await reader.broker.history(room, since)
            expect(history.complete, True, f"completeness after {since}")
            expect(history.top, positions[-1], f"the top after {since}")
            expect([p.payload for p in history.publications], [str(n) for n in range(index, 10)], f"after {since}")
            expect_chain(history.publications, since, "the history")


async def history_says_what_is_missing(factory: BrokerFactory) -> None:
    async with started(factory, 1, HistoryLimits(messages=10, age_s=60)) as [node]:
        room = new_room()
        start = await node.broker.subscribe(room)
        positions = [await node.broker.publish(room, str(number)) for number in range(30)]
        for since in (start, positions[5]):
            history = await node.broker.history(room, since)
            expect(history.complete, False, f"completeness after {since}, with 30 published and 10 kept")
            expect(history.top, positions[-1], "the top")
            # A broker may keep a few more than it must.
            kept = [p.payload for p in history.publications]
            expect(kept, [str(n) for n in range(30 - len(kept), 30)], "what is kept: the newest, in order")
            if not 10 <= len(kept) <= 20:
                raise AssertionError(f"10 messages should be kept, or a few more, not {len(kept)}")
        history = await node.broker.history(room, positions[-6])
        expect((history.complete, len(history.publications)), (True, 5), "what is kept for those who missed five")


async def old_messages_are_removed(factory: BrokerFactory) -> None:
    async with started(factory, 1, HistoryLimits(messages=100, age_s=1)) as [node]:
        room = new_room()
        start = await node.broker.subscribe(room)
        top = await node.broker.publish(room, "old")

        async def forgotten() -> bool:
            return not (await node.broker.history(room, start)).complete

        await until(forgotten, "a message is removed after its second")
        expect(list((await node.broker.history(room, start)).publications), [], "what is kept")
        expect((await node.broker.history(room, top)).complete, True, "completeness for one who has seen it")
        await node.broker.publish(room, "new")
        await node.sink.until(lambda: node.sink.payloads(room) == ["old", "new"], "the next message comes")
        expect_chain(node.sink.publications, start, "what came before and after")


async def positions_of_another_past_are_incomplete(factory: BrokerFactory) -> None:
    async with started(factory, 1) as [node]:
        room = new_room()
        top = await node.broker.publish(room, "1")
        for since in (Position("another", top.offset), Position("another", 0), Position(top.epoch, top.offset + 1_000)):
            history = await node.broker.history(room, since)
            expect((history.complete, history.top), (False, top), f"completeness and top after {since}")
            expect([p.payload for p in history.publications], ["1"], f"what is kept, for {since}")


async def without_history_only_a_loss_is_incomplete(factory: BrokerFactory) -> None:
    async with started(factory, 1, HistoryLimits(messages=0)) as [node]:
        room = new_room()
        start = await node.broker.subscribe(room)
        expect((await node.broker.history(room, start)).complete, True, "completeness before the first message")
        top = await node.broker.publish(room, "1")
        await node.sink.until(lambda: node.sink.payloads(room) == ["1"], "the message comes without a history too")
        expect_chain(node.sink.publications, start, "the delivery")
        history = await node.broker.history(room, start)
        expect((history.complete, history.top), (False, top), "completeness and top after a message")
        expect((await node.broker.history(room, top)).complete, True, "completeness for one who has seen it")


async def history_knows_what_was_delivered(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [publisher, subscriber]:
        room = new_room()
        since = await subscriber.broker.subscribe(room)
        for number in range(20):
            position = await publisher.broker.publish(room, str(number))
            await subscriber.sink.until(lambda: len(subscriber.sink.publications) > number, "a message comes")  # noqa: B023
            history = await subscriber.broker.history(room, since)
            expect([p.position for p in history.publications], [position], "the history right after the delivery")
            since = position


# Presence


async def two_devices_are_one_member(factory: BrokerFactory) -> None:
    async with started(factory, 2) as nodes:
        [one, two] = nodes
        room = new_room()
        for node in nodes:
            await node.broker.subscribe(room)
            await node.broker.renew(_LEASE_S)
        phone, desk, other = Entry(room, "ada", "1"), Entry(room, "ada", "1"), Entry(room, "b ö.b", "2")
        expect(await one.broker.members(room), {}, "the members of a new room")
        await one.broker.join(phone, b'"phone"')
        await two.broker.join(desk, b'"desk"')
        await two.broker.join(other, b"null")
        for node in nodes:
            found = await node.broker.members(room)
            expect(found, {"ada": Member(b'"desk"', 2), "b ö.b": Member(b"null", 1)}, "the members")
        await one.broker.join(phone, b'"phone 2"')
        expect((await two.broker.members(room))["ada"], Member(b'"phone 2"', 2), "a member with an updated device")
        await one.broker.leave(phone)
        await one.broker.leave(phone)
        expect((await one.broker.members(room))["ada"], Member(b'"desk"', 1), "a member after a device has left")
        await two.broker.leave(desk)
        await one.broker.leave(Entry(room, "nobody", "x"))
        expect(await two.broker.members(room), {"b ö.b": Member(b"null", 1)}, "the members after one has left")
        expect(await one.broker.members(new_room()), {}, "the members of another room")
        events = [
            ("joined", room, "ada", '"phone"', 1),
            ("updated", room, "ada", '"desk"', 2),
            ("joined", room, "b ö.b", "null", 1),
            ("updated", room, "ada", '"phone 2"', 2),
            ("updated", room, "ada", '"desk"', 1),
            ("left", room, "ada"),
        ]
        for node in nodes:
            await node.sink.until(lambda node=node: len(node.sink.presence) >= len(events), "all changes are told")  # type: ignore[misc]
            expect(node.sink.presence, events, "the changes that a process is told")


async def members_are_counted_and_found(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [one, two]:
        rooms = [new_room() for _ in range(3)]
        member = f"ada {rooms[0]}"
        for node in (one, two):
            await node.broker.renew(_LEASE_S)
            expect(await node.broker.rooms_of(member), [], "the rooms of nobody")
        for room in rooms[:2]:
            await one.broker.join(Entry(room, member, room), b"1")
        await two.broker.join(Entry(rooms[1], member, "2"), b"2")
        await two.broker.join(Entry(rooms[1], "eve", "3"), b"3")
        expect(await one.broker.count_members(rooms), [1, 2, 0], "the number of members in each room")
        expect(sorted(await two.broker.rooms_of(member)), sorted(rooms[:2]), "the rooms of a member")
        await one.broker.leave(Entry(rooms[1], member, rooms[1]))
        expect(sorted(await two.broker.rooms_of(member)), sorted(rooms[:2]), "the rooms of a member with a device left")
        await two.broker.leave(Entry(rooms[1], member, "2"))
        expect(await two.broker.rooms_of(member), rooms[:1], "the rooms of a member that has left one")
        expect(await two.broker.count_members(rooms), [1, 1, 0], "the number of members after one has left")
        expect(await two.broker.count_members([]), [], "the number of members of no room")


async def one_renewal_keeps_all_devices(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [one, two]:
        room = new_room()
        await two.broker.renew(_LEASE_S)
        await one.broker.renew(_LEASE_TO_RENEW_S)
        began = asyncio.get_running_loop().time()
        for number in range(20):
            await one.broker.join(Entry(room, f"member {number}", str(number)), b"null")
        expect(await one.broker.renew(_LEASE_S), True, "renew() before the lease has run out")
        await asyncio.sleep(began + _LEASE_TO_RENEW_S + 0.5 - asyncio.get_running_loop().time())
        await two.broker.expire()
        expect(len(await two.broker.members(room)), 20, "the number of members after a lease")
        expect(await one.broker.renew(_LEASE_S), True, "renew() before the second lease has run out")


async def a_dead_process_is_told_once(factory: BrokerFactory) -> None:
    async with started(factory, 3) as nodes:
        [dead, one, two] = nodes
        room, other = new_room(), new_room()
        for node in (one, two):
            await node.broker.subscribe(room)
            await node.broker.renew(_LEASE_S)
        await dead.broker.renew(_SHORT_LEASE_S)
        for entry in (Entry(room, "ghost", "1"), Entry(room, "ghost", "2"), Entry(room, "stays", "3")):
            await dead.broker.join(entry, b'"old"')
        await dead.broker.join(Entry(other, "ghost", "4"), b"null")
        await one.broker.join(Entry(room, "stays", "5"), b'"new"')

        async def gone() -> bool:
            return "ghost" not in await one.broker.members(room)

        await until(gone, "the members of a process that does not renew vanish")
        expect(await one.broker.members(room), {"stays": Member(b'"new"', 1)}, "the members with live processes")
        expect(await two.broker.count_members([room, other]), [1, 0], "the number of members with live processes")
        expect(await two.broker.rooms_of("ghost"), [], "the rooms of a member whose process is dead")
        for _ in range(2):
            async with asyncio.TaskGroup() as group:
                for node in (one, two):
                    group.create_task(node.broker.expire())
        for node in (one, two):
            await node.sink.until(lambda node=node: ("left", room, "ghost") in node.sink.presence, "left() is told")  # type: ignore[misc]
            await node.sink.until(
                lambda node=node: ("updated", room, "stays", '"new"', 1) in node.sink.presence,  # type: ignore[misc]
                "updated() is told of a member that has a device left",
            )
            expect(node.sink.presence.count(("left", room, "ghost")), 1, "how often left() is told to a process")
            expect(("left", room, "stays") in node.sink.presence, False, "left() is told of a member that is present")
        await one.broker.join(Entry(other, "ghost", "6"), b"null")
        expect(await two.broker.members(other), {"ghost": Member(b"null", 1)}, "the members after one has come back")


async def a_lost_lease_is_reported(factory: BrokerFactory) -> None:
    async with started(factory, 2) as [slow, other]:
        room = new_room()
        await other.broker.subscribe(room)
        await other.broker.renew(_LEASE_S)
        await slow.broker.renew(_SHORT_LEASE_S)
        await slow.broker.join(Entry(room, "ada", "1"), b"null")

        async def gone() -> bool:
            await other.broker.expire()
            return ("left", room, "ada") in other.sink.presence

        await until(gone, "the members of a process that does not renew leave")
        expect(await slow.broker.renew(_LEASE_S), False, "renew() after the lease has run out")
        expect(await other.broker.members(room), {}, "the members after renew(), which brings nobody back")
        await slow.broker.join(Entry(room, "ada", "1"), b"null")
        expect(await slow.broker.renew(_LEASE_S), True, "renew() after the loss was reported")
        expect(await other.broker.members(room), {"ada": Member(b"null", 1)}, "the members that have joined again")
        await other.broker.expire()
        expect(await other.broker.members(room), {"ada": Member(b"null", 1)}, "the members that have joined again")


async def released_processes_have_no_members(factory: BrokerFactory) -> None:
    async with started(factory, 3) as [one, two, watching]:
        room = new_room()
        await watching.broker.subscribe(room)
        for node in (one, two, watching):
            await node.broker.renew(_LEASE_S)
        for number in range(50):
            await one.broker.join(Entry(room, f"one {number}", str(number)), b"null")
        await two.broker.join(Entry(room, "two", "1"), b"null")
        await one.broker.release()
        expect(await watching.broker.members(room), {"two": Member(b"null", 1)}, "the members after release()")
        await two.broker.release(_SHORT_LEASE_S)

        async def gone() -> bool:
            await watching.broker.expire()
            return [event[0] for event in watching.sink.presence].count("left") >= 51

        await until(gone, "left() is told of all members of both processes")
        expect(await watching.broker.members(room), {}, "the members after both are released")
        expect(len(watching.sink.presence), 102, "the number of changes that are told")
        await one.broker.renew(_LEASE_S)
        await one.broker.join(Entry(room, "one", "1"), b"null")
        expect(await watching.broker.members(room), {"one": Member(b"null", 1)}, "the members after a new lease")


# Life


async def a_healthy_broker_says_so(factory: BrokerFactory) -> None:
    async with started(factory, 1) as [node]:
        health = await node.broker.health()
        expect(health.ok, True, f"health ({health.detail})")
        expect("\n" in health.detail, False, "a line break in the detail")


async def a_broker_can_be_started_again(factory: BrokerFactory) -> None:
    broker, room = factory(LIMITS), new_room()
    await soon(broker.stop(), "stop() of a broker that was never started returns")
    for _ in range(2):
        sink = Recorder()
        await soon(broker.start(sink), "start() returns")
        await broker.publish(room, "before")
        expect(sink.publications, [], "deliveries after a start without a subscription")
        await broker.subscribe(room)
        await broker.publish(room, "after")
        await sink.until(lambda: sink.payloads(room) == ["after"], "a message comes after a start")  # noqa: B023
        await soon(broker.stop(), "stop() returns")
        await soon(broker.stop(), "the second stop() returns")


async def cancelled_calls_leave_it_usable(factory: BrokerFactory) -> None:
    async with started(factory, 1) as [node]:
        room, ticks = new_room(), random.Random(1)
        start = await node.broker.subscribe(room)
        other = new_room()

        async def calls() -> None:
            await node.broker.publish(room, "cancelled")
            await node.broker.history(room, start)
            await node.broker.subscribe(other)
            await node.broker.members(room)
            await node.broker.health()
            await node.broker.unsubscribe(other)

        for _ in range(60):
            task = asyncio.create_task(calls())
            for _ in range(ticks.randrange(30)):
                await asyncio.sleep(0)
            task.cancel()
            await asyncio.wait([task])
        last = await soon(node.broker.publish(room, "last"), "publish() returns after cancelled calls")
        await node.sink.until(
            lambda: node.sink.payloads(room)[-1:] == ["last"], "a message comes after cancelled calls"
        )
        expect(node.sink.publications[-1].position, last, "its position")
        expect_chain(node.sink.publications, start, "what was delivered")
        expect((await node.broker.history(room, last)).complete, True, "the history after cancelled calls")


BROKER_CHECKS: tuple[Callable[[BrokerFactory], Awaitable[None]], ...] = (
    publish_returns_positions_that_grow,
    a_subscriber_gets_all_after_its_position,
    payloads_come_back_as_they_were,
    several_messages_are_published_in_order,
    a_message_is_claimed_by_one,
    a_broadcast_is_delivered_and_not_kept,
    an_excluded_subscription_is_named_live_and_in_the_history,
    everybody_sees_one_order,
    rooms_are_separate,
    unsubscribing_ends_deliveries,
    history_returns_what_came_after,
    history_says_what_is_missing,
    old_messages_are_removed,
    positions_of_another_past_are_incomplete,
    without_history_only_a_loss_is_incomplete,
    history_knows_what_was_delivered,
    two_devices_are_one_member,
    members_are_counted_and_found,
    one_renewal_keeps_all_devices,
    a_dead_process_is_told_once,
    a_lost_lease_is_reported,
    released_processes_have_no_members,
    a_healthy_broker_says_so,
    a_broker_can_be_started_again,
    cancelled_calls_leave_it_usable,
)
"""The single checks, coroutine functions, for parametrized tests: ``await check(factory)``."""


async def check_broker(factory: BrokerFactory) -> None:
    """Check that a broker keeps everything that ``falconws.hub.Broker`` promises.

    Args:
        factory: Called with ``HistoryLimits``; returns a broker that is not started. All brokers that it returns share
            one server, as those of several processes do.

    Raises:
        ExceptionGroup: With one error for each broken promise; each says what was expected.
    """
    failures: list[Exception] = []
    for check in BROKER_CHECKS:
        try:
            await check(factory)
        except Exception as error:
            error.add_note(f"in the check {check.__name__}")
            failures.append(error)
    if failures:
        raise ExceptionGroup("The broker does not keep what falconws.hub.Broker promises", failures)
