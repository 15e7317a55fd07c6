"""Coverage-guided fuzzing of the byte stream into a connection. Run it, do not collect it.

    pip install atheris
    python tests/runtime/server/websocket/fuzz_connection.py -max_total_time=60

Two bytes choose the limits and the cuts; the rest is fed as a client would send it, after what a
client would have to mask. No exception may come out, nothing but a close frame may follow a close
frame, and the application must be told of one end at most.
"""

import asyncio
import importlib.util
import logging
import sys
from pathlib import Path

try:
    import atheris
except ImportError:
    sys.exit("This needs atheris: pip install atheris")

with atheris.instrument_imports(include=["falconws.server"]):
    from falconws.closecodes import is_sendable
    from falconws.server.websocket import assembler  # noqa: F401
    from falconws.server.websocket.settings import ConnectionSettings

_spec = importlib.util.spec_from_file_location("conversation", Path(__file__).with_name("conftest.py"))
assert _spec is not None
assert _spec.loader is not None
_conversation = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_conversation)

_loop = asyncio.new_event_loop()


class _Fails(logging.Handler):
    """An exception of a callback is logged by picows; here it must end the run."""

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            raise AssertionError(record.getMessage()) from record.exc_info[1]


logging.getLogger("falconws.server").addHandler(_Fails())
logging.getLogger("falconws.server").propagate = False


def one_input(data: bytes) -> None:
    _loop.run_until_complete(_converse(data))


async def _converse(data: bytes) -> None:
    if len(data) < 2:
        return
    settings = ConnectionSettings(max_message_bytes=1 + data[0] * 8, max_queued_messages=4)
    step = 1 + data[1]
    subject = _conversation.Conversation(settings)
    stream = data[2:]
    for start in range(0, len(stream), step):
        await subject.feed(stream[start : start + step])
    events = await subject.events()
    ends = [event for event in events if event[0] == "websocket.disconnect"]
    assert len(ends) <= 1
    if ends:
        code = ends[0][1]
        assert code in (1005, 1006) or is_sendable(code), code
    written = bytes(subject.transport.written)
    position, closed = 0, False
    while position < len(written):
        assert not closed, "a frame after the close frame"
        size = written[position + 1]
        assert size < 126, "only control frames are answered here"
        closed = written[position] == 0x88
        position += 2 + size
    subject.end()


if __name__ == "__main__":
    atheris.Setup(sys.argv, one_input)
    atheris.Fuzz()
