"""Runs the server's event loop to its end, whatever tasks of the application raise.

An event loop stops where a task or a callback raises SystemExit or KeyboardInterrupt: `asyncio.create_task()` with a
`sys.exit()` in it would end the server without a drain. The loop is intact then, and can be run again. Knows no server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

from falconws.log_throttle import LogThrottle

_T = TypeVar("_T")

_throttle = LogThrottle(logging.getLogger("falconws.server"))


def run_to_its_end(main: Coroutine[Any, Any, _T], loop_factory: Callable[[], asyncio.AbstractEventLoop] | None) -> _T:
    """Return what *main* returns; the other tasks are cancelled then, as by `asyncio.run()`.

    What a task raises is the result of that task, and is logged if it would have stopped the loop. What *main* itself
    raises is raised.
    """
    with asyncio.Runner(loop_factory=loop_factory) as runner:
        loop = runner.get_loop()
        task = loop.create_task(main)
        while True:
            try:
                return loop.run_until_complete(task)
            except (SystemExit, KeyboardInterrupt) as error:
                if task.done():
                    raise
                message = "A task of the application raised %s; the server goes on"
                _throttle.log_repeated(logging.ERROR, message, type(error).__name__, error=error)
