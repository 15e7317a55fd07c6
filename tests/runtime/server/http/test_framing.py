"""Requests are cut out of a stream the same however the stream is cut, and as h11 reads them."""

import h11
from hypothesis import given
from hypothesis import strategies as st

from falconws.server.http.framing import END, RequestFramer
from falconws.server.http_settings import HttpSettings
from falconws.server.request_head import RequestError, RequestHead

PIECES = [
    b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /x?y HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello",
    b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
    *(b"5\r\nhello\r\n", b"5;x=y\r\nhello\r\n", b"0\r\n\r\n", b"0\r\nX: y\r\n\r\n", b"\r\n", b"\n", b"\r", b"X: y\r\n"),
    *(b"Content-Length: 3\r\n", b"GET /", b" HTTP/1.1\r\n", b"Host: a\r\n", b"\x00", b":", b" "),
]
streams = st.lists(st.one_of(st.sampled_from(PIECES), st.binary(max_size=5)), max_size=8).map(b"".join)


def read(pieces) -> tuple[list[tuple[str, bytes]], int | None]:
    """Return the events, bodies joined, and the status of the error that ended them."""
    framer = RequestFramer(HttpSettings(max_body_bytes=1000, max_head_bytes=500))
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


@given(streams)
def test_what_is_passed_on_is_what_h11_reads(stream):
    """The head that goes to the parser has no second meaning, and a body is what h11 takes for it."""
    events, _ = read([stream])
    connection = h11.Connection(h11.SERVER)
    connection.receive_data(stream.lstrip(b"\r\n"))
    for kind, data in events:
        if kind == "head":
            read_by_h11 = connection.next_event()
            assert isinstance(read_by_h11, h11.Request)
            line, *headers = data[:-4].split(b"\r\n")
            assert line == b"%b %b HTTP/%b" % (read_by_h11.method, read_by_h11.target, read_by_h11.http_version)
            passed = [tuple(header.split(b": ", 1)) for header in headers]
            assert passed == [(n, v) for n, v in read_by_h11.headers if n != b"upgrade"]
            body = b""
        elif kind == "body":
            body = data
        else:
            received = b""
            while not isinstance(event := connection.next_event(), h11.EndOfMessage):
                assert isinstance(event, h11.Data)
                received += event.data
            assert received == body
            connection.send(h11.Response(status_code=200, headers=[(b"content-length", b"0")]))
            connection.send(h11.EndOfMessage())
            if connection.states[h11.SERVER] is not h11.DONE:
                return
            connection.start_next_cycle()


def test_a_chunked_body_is_decoded_and_its_trailers_are_dropped():
    head = b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
    events, status = read([head + b"5;a=b\r\nhello\r\n3\r\n wo\r\n0\r\nX: y\r\n\r\n"])
    assert ([data for _, data in events[1:]], status) == ([b"hello wo", b""], None)
