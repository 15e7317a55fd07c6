"""Requests are cut out of a stream the same however the stream is cut, and as h11 reads them."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.server.http.framing import END, RequestFramer
from falconws.server.http_settings import HttpSettings
from falconws.server.request_head import PartialHead, RequestError, RequestHead
from tests.runtime.server.http.entrance import SETTINGS, check, enter

PIECES = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    *(b"5\r\nhello\r\n", b"5;x=y\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"\r\n", b"\n", b"\r", b"X: y\r\n"),
    *(b"Content-Length: 3\r\n", b"GET /", b" HTTP/1.1\r\n", b"Host: a\r\n", b"\x00", b":", b" "),
]
HANDSHAKE = (
    b"GET /ws HTTP/1.1\r\nHost: a\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
)
PIECES.append(HANDSHAKE)
streams = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=5)), max_size=8).map(b"".join)


def read(pieces, settings=SETTINGS) -> tuple[list[tuple[str, bytes]], int | None]:
    """Return the events, bodies joined, and the status of the error that ended them."""
    framer = RequestFramer(settings)
    events: list[tuple[str, bytes]] = []
    for piece in pieces:
        framer.feed(piece)
        while True:
            try:
                event = framer.next_event()
            except RequestError as error:
                return events, error.status
            if event is None:
                break
            if isinstance(event, RequestHead):
                events.append(("head", event.as_plain_http()))
            elif event is END:
                events.append(("end", b""))
            elif events[-1][0] == "body":
                events[-1] = ("body", events[-1][1] + event)
            else:
                events.append(("body", event))
    return events, None


@given(streams)
def test_a_stream_means_the_same_in_single_bytes(stream):
    whole, in_bytes = read([stream]), read([stream[i : i + 1] for i in range(len(stream))])
    assert whole[0] == in_bytes[0][: len(whole[0])]
    assert (whole[1] is None) == (in_bytes[1] is None)


def test_a_chunked_body_is_decoded_and_its_trailers_are_dropped():
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    events, status = read([head + b"5;a=b\r\nhello\r\n3\r\n wo\r\n0\r\nX: y\r\n\r\n"])
    assert ([data for _, data in events[1:]], status) == ([b"hello wo", b""], None)


CHUNKED = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize("step", [7, 1000, 10**6])
@pytest.mark.parametrize(
    ("body", "status"),
    [
        # RFC 9112 section 7.1.1 asks for a limit of all extensions of a request, not only of each.
        (b"1;" + b"a" * 900 + b"\r\nx\r\n", 431),
        (b"1" + b" \t" * 400 + b"\r\nx\r\n", 431),
        (b"1\r\nx\r\n", None),
        (b"000000001\r\nx\r\n", None),
        (b"1;a=b\r\nx\r\n", None),
    ],
)
def test_the_extensions_of_chunks_are_limited_together(body, status, step):
    stream = CHUNKED + body * 1000 + b"0\r\n\r\n"
    assert read([stream[i : i + step] for i in range(0, len(stream), step)], HttpSettings())[1] == status
    # Those of each request for itself.
    stream = (CHUNKED + body * 30 + b"0\r\n\r\n") * 10
    assert read([stream[i : i + step] for i in range(0, len(stream), step)], HttpSettings())[1] is None


@given(streams, st.integers(1, 40))
def test_the_entrance_serves_what_h11_reads_on_both_parsers(stream, step):
    check(stream, step)


@pytest.mark.parametrize(
    ("stream", "served"),
    [
        (PIECES[0] * 3, [("GET", b"/?", b"")] * 3),
        (
            PIECES[1] + PIECES[3] + PIECES[1],
            [("POST", b"/x?y", b"hello"), ("GET", b"/?", b""), ("POST", b"/x?y", b"hello")],
        ),
        (PIECES[2] + b"5\r\nhello\r\n0\r\n\r\n" + PIECES[0], [("POST", b"/?", b"hello"), ("GET", b"/?", b"")]),
        (PIECES[0] + HANDSHAKE + b"frames", [("GET", b"/?", b""), ("WEBSOCKET", b"/ws?", b"frames")]),
    ],
)
@pytest.mark.parametrize("step", [1, 7, 1000])
@pytest.mark.parametrize("parser", ["httptools", "h11"])
def test_pipelined_requests_are_served_in_order(parser, stream, served, step):
    pieces = [stream[i : i + step] for i in range(0, len(stream), step)]
    assert asyncio.run(enter(parser, pieces))[0] == served


class LookedAt(bytearray):
    """Counts how many of its bytes were searched."""

    searched = 0

    def count(self, part, start):
        self.searched += len(self) - start
        return super().count(part, start)

    def rfind(self, part, start):
        self.searched += len(self) - start
        return super().rfind(part, start)

    def find(self, part, start):
        self.searched += len(self) - start
        return super().find(part, start)


def test_each_byte_of_a_head_in_pieces_is_looked_at_once():
    """A client that sends 30 kB byte by byte cost six seconds of CPU time when each piece was a look at the whole."""
    whole = b"GET / HTTP/1.1\r\n" + b"".join(b"X-%d: " % number + b"y" * 300 + b"\r\n" for number in range(90))
    partial, data = PartialHead(HttpSettings()), LookedAt()
    for byte in whole:
        data.append(byte)
        partial.check(data)
    # By three searches, each with one byte in front of the new one.
    assert data.searched < 6 * len(whole) + 100


@pytest.mark.parametrize("step", [1, 2, 3, 7, 1000])
@pytest.mark.parametrize(
    ("data", "status"),
    [
        (b"GET /" + b"a" * 9000, 431),
        (b"GET / HTTP/1.1\r\nX: " + b"a" * 9000, 431),
        (b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 102, 431),
        (b"GET / HTTP/1.1\r\n" + b"".join(b"X: " + b"y" * 7000 + b"\r\n" for _ in range(5)), 431),
        (b"GET / HTTP/1.1\r\nX: y\nZ", 400),
        (b"GET / HTTP/1.1\nX: y\r\n", 400),
        (b"GET / HTTP/1.1\r\nX: y\r\nZ\n", 400),
        (b"GET / HTTP/2.0\r\n", 505),
        (b"\x16\x03\x01", 400),
        (b"GET /\xff", 400),
        (b"GET /" + b"a" * 600 + b" HTP/1.1\r\n", 400),
    ],
)
def test_a_head_that_cannot_become_valid_is_refused_before_its_end(data, status, step):
    partial, received = PartialHead(HttpSettings()), bytearray()
    with pytest.raises(RequestError) as refusal:
        for start in range(0, len(data), step):
            received += data[start : start + step]
            partial.check(received)
    assert refusal.value.status == status
