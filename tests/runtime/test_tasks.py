import asyncio
import contextlib
import gc
import logging

import falcon
import pytest

from falconws import TaskScope, WebSocketDisconnected, create_task

SECONDS = 20.0


class Peer:
    """Stands for the connection: ``leave()`` ends what the scope waits for."""

    def __init__(self) -> None:
        self._left = asyncio.Event()

    def leave(self) -> None:
        self._left.set()

    async def wait_disconnected(self) -> None:
        await self._left.wait()

    def scope(self) -> TaskScope:
        return TaskScope(self.wait_disconnected)


@pytest.fixture
async def peer() -> Peer:
    return Peer()


async def forever(ended: list[str] | None = None) -> None:
    try:
        await asyncio.Event().wait()
    finally:
        if ended is not None:
            ended.append("ended")


async def test_it_ends_when_the_peer_leaves(peer: Peer) -> None:
    ended: list[str] = []
    before = asyncio.all_tasks()
    async with asyncio.timeout(SECONDS):
        async with peer.scope() as scope:
            scope.create_task(forever(ended))
            scope.create_task(forever(ended))
            asyncio.get_running_loop().call_soon(peer.leave)
    assert ended == ["ended", "ended"]
    assert asyncio.all_tasks() == before


async def test_it_ends_when_one_task_ends(peer: Peer) -> None:
    ended: list[str] = []
    async with asyncio.timeout(SECONDS):
        async with peer.scope() as scope:
            scope.create_task(forever(ended))
            scope.create_task(asyncio.sleep(0))
    assert ended == ["ended"]


async def test_a_peer_that_leaves_cancels_the_body(peer: Peer) -> None:
    async with asyncio.timeout(SECONDS):
        async with peer.scope():
            peer.leave()
            await forever()
            pytest.fail("the body went on")
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_a_body_without_tasks_just_ends(peer: Peer) -> None:
    async with asyncio.timeout(SECONDS):
        async with peer.scope():
            await asyncio.sleep(0)


@pytest.mark.parametrize("kind", [WebSocketDisconnected, falcon.WebSocketDisconnected])
async def test_a_disconnect_noticed_by_a_task_ends_it_quietly(peer: Peer, kind: type[Exception]) -> None:
    async def fail() -> None:
        raise kind

    async with asyncio.timeout(SECONDS):
        async with peer.scope() as scope:
            scope.create_task(fail())
            scope.create_task(forever())


async def test_a_disconnect_noticed_by_the_body_ends_it_quietly(peer: Peer) -> None:
    ended: list[str] = []
    async with asyncio.timeout(SECONDS):
        async with peer.scope() as scope:
            scope.create_task(forever(ended))
            await asyncio.sleep(0)
            raise WebSocketDisconnected(1001)
    assert ended == ["ended"]


async def test_the_first_error_is_raised_as_it_is_and_further_ones_are_logged(
    peer: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    async def fail(error: Exception) -> None:
        raise error

    async def fail_when_cancelled() -> None:
        try:
            await forever()
        finally:
            raise KeyError("second")

    with pytest.raises(falcon.HTTPForbidden):
        async with asyncio.timeout(SECONDS):
            async with peer.scope() as scope:
                scope.create_task(fail_when_cancelled())
                await asyncio.sleep(0)
                scope.create_task(fail(falcon.HTTPForbidden()))
    assert "second" in caplog.text


async def test_an_error_of_the_body_wins_and_ends_the_tasks(peer: Peer) -> None:
    ended: list[str] = []
    with pytest.raises(LookupError):
        async with peer.scope() as scope:
            scope.create_task(forever(ended))
            await asyncio.sleep(0)
            raise LookupError
    assert ended == ["ended"]


@pytest.mark.parametrize("in_body", [True, False])
async def test_cancelling_the_responder_cancels_all_of_it(peer: Peer, in_body: bool) -> None:
    ended: list[str] = []

    async def responder() -> None:
        async with peer.scope() as scope:
            scope.create_task(forever(ended))
            if in_body:
                await forever()

    task = asyncio.create_task(responder())
    for _ in range(3):
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await asyncio.wait_for(task, SECONDS)
    assert ended == ["ended"]


async def test_a_timeout_around_it_stays_a_timeout(peer: Peer) -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            async with peer.scope() as scope:
                scope.create_task(forever())


async def test_a_timeout_within_it_stays_a_timeout(peer: Peer) -> None:
    with pytest.raises(TimeoutError):
        async with peer.scope() as scope:
            scope.create_task(forever())
            async with asyncio.timeout(0.01):
                await forever()


async def test_a_task_that_resists_cancellation_once_is_cancelled_again(peer: Peer) -> None:
    async def stubborn() -> None:
        try:
            await forever()
        except asyncio.CancelledError:
            await asyncio.sleep(0)

    async with asyncio.timeout(SECONDS):
        async with peer.scope() as scope:
            scope.create_task(stubborn())
            await asyncio.sleep(0)
            peer.leave()


async def test_a_cancellation_from_outside_is_raised_when_the_tasks_have_ended(peer: Peer) -> None:
    ending, ended = asyncio.Event(), []

    async def cleans_up() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ending.set()
            await forever(ended)

    async def responder() -> None:
        async with peer.scope() as scope:
            scope.create_task(cleans_up())
            scope.create_task(asyncio.sleep(0))

    async with asyncio.timeout(SECONDS):
        task = asyncio.create_task(responder())
        await ending.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    assert ended == ["ended"]


async def test_a_body_may_clean_up_before_it_ends(peer: Peer) -> None:
    async with asyncio.timeout(SECONDS):
        async with peer.scope():
            peer.leave()
            with contextlib.suppress(asyncio.CancelledError):
                await forever()
    current = asyncio.current_task()
    assert current is not None
    assert current.cancelling() == 0


async def test_tasks_start_only_while_it_is_entered(peer: Peer) -> None:
    scope = peer.scope()
    with pytest.raises(RuntimeError, match="not entered, or is ending"):
        scope.create_task(forever())
    async with scope:
        pass
    with pytest.raises(RuntimeError, match="not entered, or is ending"):
        scope.create_task(forever())
    with pytest.raises(RuntimeError, match="only once"):
        await scope.__aenter__()


async def test_a_background_task_is_kept_alive_and_gives_its_result() -> None:
    async def work() -> int:
        # Nothing but the task itself refers to this future.
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(0.01, lambda: future.set_result(7))
        await asyncio.sleep(0)
        gc.collect()
        result: int = await future
        return result

    task = create_task(work(), name="counted")
    gc.collect()
    assert task.get_name() == "counted"
    assert await asyncio.wait_for(task, SECONDS) == 7


async def test_an_error_of_a_background_task_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    async def fail(error: Exception) -> None:
        raise error

    with caplog.at_level(logging.ERROR, "falconws"):
        tasks = [create_task(fail(ZeroDivisionError("oops")), name="job"), create_task(fail(WebSocketDisconnected()))]
        await asyncio.wait(tasks)
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["Task job failed"]
    assert "oops" in caplog.text


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt])
async def test_what_would_end_the_event_loop_is_raised_as_an_error(
    peer: Peer, kind: type[BaseException], caplog: pytest.LogCaptureFixture
) -> None:
    async def fail() -> None:
        raise kind

    with pytest.raises(RuntimeError, match=kind.__name__) as caught:
        async with asyncio.timeout(SECONDS), peer.scope() as scope:
            scope.create_task(fail())
            await forever()
    assert isinstance(caught.value.__cause__, kind)
    with caplog.at_level(logging.ERROR, "falconws"):
        await asyncio.wait([create_task(fail(), name="job")])
        await asyncio.sleep(0)
    assert [record.getMessage() for record in caplog.records] == ["Task job failed"]


async def test_a_group_of_disconnects_ends_a_scope_quietly(peer: Peer) -> None:
    async def fail() -> None:
        raise ExceptionGroup("", [WebSocketDisconnected(1001)])

    async with asyncio.timeout(SECONDS), peer.scope() as scope:
        scope.create_task(fail())
        await forever()
