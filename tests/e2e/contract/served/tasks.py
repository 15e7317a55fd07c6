"""Responders in which several tasks share one connection, or are cancelled."""

from __future__ import annotations

import asyncio
import collections
import random

import falconws
from falconws import Request, WebSocket, WebSocketDisconnected

from .apps import TeapotError, websocket
from .journal import Run, describe


@websocket("cancelled-receives")
async def cancelled_receives(req: Request, ws: WebSocket, run: Run) -> None:
    """Cancel receives at every point of their life while messages arrive; acknowledge to make the client go on."""
    await ws.accept()
    luck = random.Random(req.get_param_as_int("seed"))
    got: list[str] = []
    cancelled = 0
    while not got or got[-1] != "end":
        receiving = asyncio.create_task(ws.receive_text())
        patience = luck.randrange(5)
        if patience == 4:
            await asyncio.wait([receiving], timeout=0.001)
        for _ in range(patience):
            await asyncio.sleep(0)
        receiving.cancel()
        try:
            got.append(await receiving)
        except asyncio.CancelledError:
            cancelled += 1
    run.note("collected", got=got, cancelled=cancelled)


@websocket("two-receivers")
async def two_receivers(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()
    first = asyncio.create_task(ws.receive_text())
    await asyncio.sleep(0)
    try:
        await ws.receive_text()
    except falconws.OperationNotAllowed as error:
        run.note("second receiver", **describe(error))
    await ws.send_text("now")
    run.note("first receiver", got=await first)
    run.note("later", got=await ws.receive_text())


@websocket("concurrent-sends")
async def concurrent_sends(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()

    async def send(number: int) -> None:
        # Less than 1 MiB in all, which is what falconws' engine lets wait for a client that does not read.
        size = 100_000 if number % 200 == 0 else (10, 200, 1000, 10)[number % 4]
        letter = chr(ord("a") + number % 26)
        if number % 2:
            await ws.send_text(f"{number}:" + letter * size)
        else:
            await ws.send_data(f"{number}:".encode() + letter.encode() * size)

    await asyncio.gather(*(send(number) for number in range(1000)))
    await ws.close()


@websocket("cancelled-sends")
async def cancelled_sends(req: Request, ws: WebSocket, run: Run) -> None:
    """Cancel sends at every point of their life."""
    await ws.accept()
    luck = random.Random(3)
    cancelled = []
    for number in range(200):
        sending = asyncio.create_task(ws.send_text(f"{number}:" + "x" * 40_000))
        for _ in range(luck.randrange(4)):
            await asyncio.sleep(0)
        sending.cancel()
        try:
            await sending
        except asyncio.CancelledError:
            cancelled.append(number)
    await ws.send_text("end")
    run.note("cancelled", numbers=cancelled)


@websocket("parallel-loops")
async def parallel_loops(req: Request, ws: WebSocket, run: Run) -> None:
    """The proposal's pair of loops, with ``create_task``."""
    await ws.accept()
    messages: collections.deque[str] = collections.deque()
    arrived = asyncio.Event()

    async def receive() -> None:
        while True:
            try:
                messages.append(await ws.receive_text())
            except WebSocketDisconnected:
                break
            finally:
                arrived.set()

    receiving = falconws.create_task(receive())
    while not receiving.done():
        await arrived.wait()
        arrived.clear()
        while ws.ready and messages:
            await ws.send_text(messages.popleft())
        await asyncio.sleep(0)
    run.note("ended", code=ws.close_code, ready=ws.ready)


@websocket("task-scope")
async def task_scope(req: Request, ws: WebSocket, run: Run) -> None:
    await ws.accept()

    async def reader() -> None:
        try:
            while (message := await ws.receive_text()) != "stop":
                if message == "fail":
                    raise TeapotError
                run.note("reader got", message=message)
        finally:
            run.note("reader ended")

    async def writer() -> None:
        try:
            for number in range(3):
                await ws.send_text(str(number))
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            run.note("writer cancelled")
            raise

    async with ws.task_scope() as scope:
        scope.create_task(reader())
        scope.create_task(writer())
    run.note("scope left", closed=ws.closed, code=ws.close_code)
    if not ws.closed:
        await ws.close(4000, "scope left")


@websocket("wait-and-receive")
async def wait_and_receive(req: Request, ws: WebSocket, run: Run) -> None:
    """Another task waits for the end while this one receives; no message goes missing."""
    await ws.accept()

    async def watch() -> None:
        await ws.wait_disconnected()
        run.note("watch saw", code=ws.close_code)

    watching = falconws.create_task(watch())
    got = [message async for message in ws.iter_text()]
    await watching
    run.note("collected", got=got)


@websocket("close-while-receiving")
async def close_while_receiving(req: Request, ws: WebSocket, run: Run) -> None:
    """One task closes while another one receives."""
    await ws.accept()

    async def receive() -> None:
        try:
            await ws.receive_text()
        except WebSocketDisconnected as error:
            run.note("receiver ended", **describe(error))

    receiving = asyncio.create_task(receive())
    await run.gate("close")
    await ws.close(4003, "enough")
    await receiving
