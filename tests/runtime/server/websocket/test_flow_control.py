"""Messages leave in the order of the calls, whatever the client does meanwhile.

Looked at: a send in the iteration of the event loop in which the client catches up; between two iterations; behind
fragments; behind a sender that is cancelled while it waits, or as it is woken; with the `try_` methods and prepared
messages in between; with compression (which would make what comes out of order unreadable).
"""

import asyncio
import contextlib
import random

import pytest

from falconws.server.errors import DisconnectedError
from falconws.server.websocket.settings import ConnectionSettings

SETTINGS = ConnectionSettings(send_timeout_s=None, ping_interval_s=None)


def text(message: str) -> dict[str, str]:
    return {"type": "websocket.send", "text": message}


async def test_a_send_in_the_iteration_in_which_the_client_catches_up_stays_behind_those_that_wait(conversation):
    subject = conversation(SETTINGS)
    connection, protocol = subject.connection, subject.transport.protocol
    protocol.pause_writing()
    waiting = [asyncio.create_task(connection.send(text(str(number)))) for number in range(3)]
    await asyncio.sleep(0)
    protocol.resume_writing()
    await connection.send(text("3"))
    await asyncio.gather(*waiting)
    assert bytes(subject.transport.written) == b"\x81\x010\x81\x011\x81\x012\x81\x013"
    subject.end()


async def test_a_sender_that_is_cancelled_as_it_is_woken_passes_on_to_the_next(conversation):
    subject = conversation(SETTINGS)
    subject.transport.protocol.pause_writing()
    first, second = (asyncio.create_task(subject.connection.send(text(message))) for message in "12")
    await asyncio.sleep(0)
    subject.transport.protocol.resume_writing()
    first.cancel()
    await asyncio.wait_for(second, 20)
    assert bytes(subject.transport.written) == b"\x81\x012"
    assert subject.connection.try_send_text("3")
    subject.end()


async def test_those_that_wait_are_told_that_the_connection_has_ended(conversation):
    subject = conversation(SETTINGS)
    subject.transport.protocol.pause_writing()
    waiting = [asyncio.create_task(subject.connection.send(text("x"))) for _ in range(3)]
    await asyncio.sleep(0)
    subject.end()
    results = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 20)
    assert [type(result) for result in results] == [DisconnectedError] * 3


@pytest.mark.parametrize("seed", range(30))
async def test_the_order_is_that_of_the_calls(conversation, seed):
    chance = random.Random(seed)
    settings = ConnectionSettings(
        send_timeout_s=None, ping_interval_s=None, high_water_bytes=256 * 1024, max_buffered_bytes=64 * 1024 * 1024
    )
    subject = conversation(settings)
    connection, protocol = subject.connection, subject.transport.protocol
    called: list[str] = []
    sent: set[str] = set()
    tasks: list[asyncio.Task[None]] = []

    async def send(message: str) -> None:
        called.append(message)
        await connection.send(text(message))
        sent.add(message)

    for number in range(200):
        message = f"{number:04}" * (1 if chance.random() < 0.95 else 100_000)
        match chance.choice(["task", "task", "call", "try", "prepared", "pause", "resume", "sleep", "cancel"]):
            case "task":
                tasks.append(asyncio.create_task(send(message)))
            case "call":
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(0):
                        await send(message[:4])
            case "try" if connection.try_send_text(message[:4]):
                called.append(message[:4])
                sent.add(message[:4])
            case "prepared" if connection.try_send_prepared(connection.prepare(message[:4])):
                called.append(message[:4])
                sent.add(message[:4])
            case "pause":
                protocol.pause_writing()
            case "resume":
                protocol.resume_writing()
            case "sleep":
                await asyncio.sleep(0)
            case "cancel" if tasks and not any(len(message) > 4 for message in called):
                # Half a large message would end the connection, rightly.
                tasks[-1].cancel()
    protocol.resume_writing()
    await asyncio.wait_for(asyncio.gather(*tasks, return_exceptions=True), 20)
    await asyncio.sleep(0)
    assert messages_in(bytes(subject.transport.written)) == [message for message in called if message in sent]
    subject.end()


def messages_in(data: bytes) -> list[str]:
    messages, message, position = [], b"", 0
    while position < len(data):
        first, size = data[position], data[position + 1]
        position += 2
        if size >= 126:
            length = 2 if size == 126 else 8
            size = int.from_bytes(data[position : position + length], "big")
            position += length
        message += data[position : position + size]
        position += size
        if first & 0x80:
            if message:
                messages.append(message.decode())
            message = b""
    return messages
