"""The promises of every broker about members: who is present, and what happens when their process dies.

Knows the broker port only.
"""

from __future__ import annotations

import asyncio

from falconws.hub.broker import Entry, Member

from .broker_harness import Check, Node, check, expect, new_room, until

__all__ = ("PRESENCE_CHECKS",)

PRESENCE_CHECKS: list[Check] = []

_LEASE_S = 60.0
_SHORT_LEASE_S = 1.0
_LEASE_TO_RENEW_S = 3.0
"""Long enough for a renewal that is late on a busy machine, and short enough to wait for its end."""


@check(PRESENCE_CHECKS, 2)
async def two_devices_are_one_member(one: Node, two: Node) -> None:
    room = new_room()
    for node in (one, two):
        await node.broker.subscribe(room)
        await node.broker.renew(_LEASE_S)
    phone, desk, other = Entry(room, "ada", "1"), Entry(room, "ada", "1"), Entry(room, "b ö.b", "2")
    expect(await one.broker.members(room), {}, "the members of a new room")
    await one.broker.join(phone, b'"phone"')
    await two.broker.join(desk, b'"desk"')
    await two.broker.join(other, b"null")
    for node in (one, two):
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
    for node in (one, two):
        await node.sink.until_reported(events[-1], "all changes are reported")
        expect(node.sink.presence, events, "the changes that are reported to a process")


@check(PRESENCE_CHECKS, 2)
async def members_are_counted_and_found(one: Node, two: Node) -> None:
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


@check(PRESENCE_CHECKS, 2)
async def one_renewal_keeps_all_devices(one: Node, two: Node) -> None:
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


@check(PRESENCE_CHECKS, 3)
async def a_dead_process_is_reported_once(dead: Node, one: Node, two: Node) -> None:
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
        await node.sink.until_reported(("left", room, "ghost"), "left() is called")
        updated = ("updated", room, "stays", '"new"', 1)
        await node.sink.until_reported(updated, "updated() is called for a member that has a device left")
        expect(node.sink.presence.count(("left", room, "ghost")), 1, "the number of calls of left()")
        expect(("left", room, "stays") in node.sink.presence, False, "left() is called for a member that is present")
    await one.broker.join(Entry(other, "ghost", "6"), b"null")
    expect(await two.broker.members(other), {"ghost": Member(b"null", 1)}, "the members after one has come back")


@check(PRESENCE_CHECKS, 2)
async def a_lost_lease_is_reported(slow: Node, other: Node) -> None:
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
    expect(await other.broker.members(room), {}, "the members after renew(), which restores nobody")
    await slow.broker.join(Entry(room, "ada", "1"), b"null")
    expect(await slow.broker.renew(_LEASE_S), True, "renew() after the loss was reported")
    expect(await other.broker.members(room), {"ada": Member(b"null", 1)}, "the members that have joined again")
    await other.broker.expire()
    expect(await other.broker.members(room), {"ada": Member(b"null", 1)}, "the members that have joined again")


@check(PRESENCE_CHECKS, 3)
async def released_processes_have_no_members(one: Node, two: Node, watching: Node) -> None:
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

    await until(gone, "left() is called for all members of both processes")
    expect(await watching.broker.members(room), {}, "the members after both are released")
    expect(len(watching.sink.presence), 102, "the number of reported changes")
    await one.broker.renew(_LEASE_S)
    await one.broker.join(Entry(room, "one", "1"), b"null")
    expect(await watching.broker.members(room), {"one": Member(b"null", 1)}, "the members after a new lease")
