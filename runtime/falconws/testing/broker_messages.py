"""The promises of every broker about messages: order, positions and history. Knows the broker port only."""

from __future__ import annotations

import asyncio

from falconws.hub.broker import EphemeralPublication, HistoryLimits, Payload
from falconws.hub.position import Position

from .broker_harness import Check, Node, check, expect, expect_chain, new_room, soon, until

__all__ = ("MESSAGE_CHECKS",)

MESSAGE_CHECKS: list[Check] = []


@check(MESSAGE_CHECKS, 1)
async def publish_returns_positions_that_grow(node: Node) -> None:
    room = new_room()
    positions = [await node.broker.publish(room, f"{number}") for number in range(5)]
    expect(len({position.epoch for position in positions}), 1, "the number of epochs")
    expect(sorted(set(positions)), positions, "positions in the order of publishing")


@check(MESSAGE_CHECKS, 2)
async def a_subscriber_gets_all_after_its_position(publisher: Node, subscriber: Node) -> None:
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


@check(MESSAGE_CHECKS, 2)
async def payloads_come_back_as_they_were(publisher: Node, subscriber: Node) -> None:
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
    expect([(p.payload, p.key) for p in subscriber.sink.publications], list(zip(payloads, keys, strict=True)), "live")
    history = await subscriber.broker.history(room, start)
    expect([(p.payload, p.key) for p in history.publications], list(zip(payloads, keys, strict=True)), "history")
    expect([type(p.payload) for p in history.publications], [type(p) for p in payloads], "types in the history")
    expect([type(p.payload) for p in subscriber.sink.publications], [type(p) for p in payloads], "types")


@check(MESSAGE_CHECKS, 2)
async def several_messages_are_published_in_order(publisher: Node, subscriber: Node) -> None:
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


@check(MESSAGE_CHECKS, 2)
async def a_message_is_claimed_by_one(one: Node, other: Node) -> None:
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


@check(MESSAGE_CHECKS, 2)
async def a_broadcast_is_delivered_and_not_kept(publisher: Node, subscriber: Node) -> None:
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


@check(MESSAGE_CHECKS, 2)
async def an_excluded_subscription_is_named_live_and_in_the_history(publisher: Node, subscriber: Node) -> None:
    room = new_room()
    start = await subscriber.broker.subscribe(room)
    await publisher.broker.publish(room, "to all")
    await publisher.broker.publish(room, "not to one", key="key", exclude="abc123")
    await subscriber.sink.until(lambda: len(subscriber.sink.payloads(room)) >= 2, "both come")
    expected = [(None, None), ("key", "abc123")]
    expect([(p.key, p.exclude) for p in subscriber.sink.publications], expected, "delivered key and exclude")
    history = await publisher.broker.history(room, start)
    expect([(p.key, p.exclude) for p in history.publications], expected, "key and exclude in the history")


@check(MESSAGE_CHECKS, 2)
async def everybody_sees_one_order(one: Node, other: Node) -> None:
    room = new_room()
    start = await one.broker.subscribe(room)
    await other.broker.subscribe(room)

    async def publish(node: Node, name: str) -> None:
        for number in range(20):
            await node.broker.publish(room, f"{name}-{number}")

    async with asyncio.TaskGroup() as group:
        for index in range(10):
            group.create_task(publish((one, other)[index % 2], str(index)))
    for node in (one, other):
        await node.sink.until_published(200, "200 messages come")
        expect_chain(node.sink.publications, start, "what ten concurrent publishers have sent")
        for index in range(10):
            own = [p for p in node.sink.payloads(room) if str(p).startswith(f"{index}-")]
            expect(own, [f"{index}-{number}" for number in range(20)], f"the order of publisher {index}")
    expect(one.sink.publications, other.sink.publications, "what two processes see")


@check(MESSAGE_CHECKS, 1)
async def rooms_are_separate(node: Node) -> None:
    prefix = new_room()
    names = [prefix + suffix for suffix in ("", ".a", ".a.b", ".*", ".>", " b", ":c", "/d", "{e}", "é世", "%2E", "\\")]
    names.append((prefix + "x" * 255)[:255])
    for name in names:
        await node.broker.subscribe(name)
    for name in names:
        await node.broker.publish(name, name)
    await node.sink.until(lambda: len(node.sink.publications) >= len(names), "one message a room comes")
    # Each room has an order, and not all together.
    found = sorted((p.room, str(p.payload)) for p in node.sink.publications)
    expect(found, sorted((name, name) for name in names), "rooms and payloads")


@check(MESSAGE_CHECKS, 2)
async def unsubscribing_ends_deliveries(publisher: Node, subscriber: Node) -> None:
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
    expect(subscriber.sink.payloads(room), ["1"], "what was delivered before unsubscribe()")
    top = await subscriber.broker.subscribe(room)
    await publisher.broker.publish(room, "4")
    await subscriber.sink.until(
        lambda: len(subscriber.sink.payloads(room)) == 2, "the message after the second subscribe()"
    )
    expect_chain(subscriber.sink.publications[-1:], top, "what comes after the second subscribe()")


@check(MESSAGE_CHECKS, 2)
async def history_returns_what_came_after(publisher: Node, reader: Node) -> None:
    room = new_room()
    start = await publisher.broker.subscribe(room)
    positions = [start, *[await publisher.broker.publish(room, str(number)) for number in range(10)]]
    for index, since in enumerate(positions):
        history = await reader.broker.history(room, since)
        expect(history.complete, True, f"completeness after {since}")
        expect(history.top, positions[-1], f"the top after {since}")
        expect([p.payload for p in history.publications], [str(n) for n in range(index, 10)], f"after {since}")
        expect_chain(history.publications, since, "the history")


@check(MESSAGE_CHECKS, 1, HistoryLimits(messages=10, age_s=60))
async def history_says_what_is_missing(node: Node) -> None:
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
    expect((history.complete, len(history.publications)), (True, 5), "the history of the last five messages")


@check(MESSAGE_CHECKS, 1, HistoryLimits(messages=100, age_s=1))
async def old_messages_are_removed(node: Node) -> None:
    room = new_room()
    start = await node.broker.subscribe(room)
    top = await node.broker.publish(room, "old")

    async def forgotten() -> bool:
        return not (await node.broker.history(room, start)).complete

    await until(forgotten, "a message is removed after its second")
    expect(list((await node.broker.history(room, start)).publications), [], "what is kept")
    expect((await node.broker.history(room, top)).complete, True, "completeness after the last message")
    await node.broker.publish(room, "new")
    await node.sink.until(lambda: node.sink.payloads(room) == ["old", "new"], "the next message comes")
    expect_chain(node.sink.publications, start, "what came before and after")


@check(MESSAGE_CHECKS, 1)
async def positions_of_another_past_are_incomplete(node: Node) -> None:
    room = new_room()
    top = await node.broker.publish(room, "1")
    for since in (Position("another", top.offset), Position("another", 0), Position(top.epoch, top.offset + 1_000)):
        history = await node.broker.history(room, since)
        expect((history.complete, history.top), (False, top), f"completeness and top after {since}")
        expect([p.payload for p in history.publications], ["1"], f"what is kept, for {since}")


@check(MESSAGE_CHECKS, 1, HistoryLimits(messages=0))
async def without_history_only_a_loss_is_incomplete(node: Node) -> None:
    room = new_room()
    start = await node.broker.subscribe(room)
    expect((await node.broker.history(room, start)).complete, True, "completeness before the first message")
    top = await node.broker.publish(room, "1")
    await node.sink.until(lambda: node.sink.payloads(room) == ["1"], "the message comes without a history too")
    expect_chain(node.sink.publications, start, "the delivery")
    history = await node.broker.history(room, start)
    expect((history.complete, history.top), (False, top), "completeness and top after a message")
    expect((await node.broker.history(room, top)).complete, True, "completeness after the last message")


@check(MESSAGE_CHECKS, 2)
async def history_knows_what_was_delivered(publisher: Node, subscriber: Node) -> None:
    room = new_room()
    since = await subscriber.broker.subscribe(room)
    for number in range(20):
        position = await publisher.broker.publish(room, str(number))
        await subscriber.sink.until_published(number + 1, "a message comes")
        history = await subscriber.broker.history(room, since)
        expect([p.position for p in history.publications], [position], "the history right after the delivery")
        since = position
