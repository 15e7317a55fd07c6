"""Timeouts of one length share a timer, and expire in the order in which they began."""

import asyncio

from falconws.timeouts import Timeout


async def test_timeouts_expire_in_order_and_cancelled_ones_do_not():
    loop = asyncio.get_running_loop()
    expired = []
    done = asyncio.Event()
    timeouts = [Timeout(loop, 0.01, lambda number=number: expired.append(number)) for number in range(5)]
    timeouts[0].cancel()
    timeouts[3].cancel()
    Timeout(loop, 0.02, lambda: expired.append("later"))
    Timeout(loop, 0.02, done.set)
    assert timeouts[1].when() >= loop.time()
    await asyncio.wait_for(done.wait(), 20)
    assert expired == [1, 2, 4, "later"]
    timeouts[1].cancel()


async def test_one_that_begins_while_another_expires_waits_its_time():
    loop = asyncio.get_running_loop()
    done = asyncio.Event()
    Timeout(loop, 0.01, lambda: Timeout(loop, 0.01, done.set))
    await asyncio.wait_for(done.wait(), 20)


async def test_an_error_in_one_does_not_stop_the_others():
    loop = asyncio.get_running_loop()
    errors = []
    loop.set_exception_handler(lambda _, context: errors.append(context["exception"]))
    done = asyncio.Event()

    def fail() -> None:
        raise RuntimeError("of the callback")

    Timeout(loop, 0.01, fail)
    Timeout(loop, 0.01, done.set)
    await asyncio.wait_for(done.wait(), 20)
    assert [str(error) for error in errors] == ["of the callback"]
