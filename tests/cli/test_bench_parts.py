"""The pure parts of `falconws bench`: frames, the handshake, the histogram, targets."""

import math
import os
import random
import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode
from websockets.streams import StreamReader

from falconws_cli.bench.frames import FrameReader, ServerFrameError, client_frame
from falconws_cli.bench.handshake import parse_response, request
from falconws_cli.bench.latency import Histogram
from falconws_cli.bench.settings import Measure, Settings
from falconws_cli.bench.view import LiveView
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.processes import cpu_seconds, listening_pids, name_of
from falconws_cli.urls import Target, is_loopback, parse_path, parse_url, require_loopback

TEXT = 0x1

MESSAGES = [
    b"\x81\x05hello",
    b"\x82\x7e\x01\x00" + b"b" * 256,
    b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00" + b"c" * 65536,
    b"\x81\x00",
    # One message in three fragments, a ping between them.
    b"\x01\x02he" + b"\x89\x04ping" + b"\x00\x02ll" + b"\x80\x01o",
]


def read_with_websockets(data: bytes) -> Frame:
    """Parse one masked frame with another implementation."""
    reader = StreamReader()
    reader.feed_data(data)
    parser = Frame.parse(reader.read_exact, mask=True)
    with pytest.raises(StopIteration) as stopped:
        next(parser)
    assert reader.buffer == b""
    frame: Frame = stopped.value.value
    return frame


@pytest.mark.parametrize("size", [0, 1, 125, 126, 65535, 65536])
def test_another_implementation_reads_the_frames_to_send(size: int) -> None:
    payload = os.urandom(size)
    frame = read_with_websockets(client_frame(TEXT, payload))
    assert frame.opcode is Opcode.TEXT
    assert frame.fin
    assert bytes(frame.data) == payload


def test_messages_are_counted_whole_byte_by_byte_and_in_random_pieces() -> None:
    stream = b"".join(MESSAGES)
    cuts = sorted(random.Random(7).sample(range(len(stream)), 50))
    pieces = [stream[begin:end] for begin, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    for fed in ([stream], [bytes([byte]) for byte in stream], pieces):
        reader = FrameReader()
        assert sum(reader.feed(piece) for piece in fed) == len(MESSAGES)
        assert reader.between_frames
        assert reader.controls == [(0x9, b"ping")]


def test_a_message_counts_when_its_last_byte_is_there() -> None:
    reader = FrameReader()
    assert reader.feed(b"\x81\x02h") == 0
    assert not reader.between_frames
    assert reader.feed(b"i\x81") == 1
    assert not reader.between_frames
    assert reader.feed(b"\x00") == 1


@pytest.mark.parametrize("head", [b"\xc1\x00", b"\x81\x80", b"\x83\x00", b"HT"])
def test_what_no_server_may_send_is_an_error(head: bytes) -> None:
    with pytest.raises(ServerFrameError, match=head.hex(" ")):
        FrameReader().feed(head)


def test_the_request_of_the_rfc_is_answered_by_its_response() -> None:
    # RFC 6455 section 1.3.
    key = "dGhlIHNhbXBsZSBub25jZQ=="
    head = (
        b"HTTP/1.1 101 Switching Protocols\r\nSEC-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\nUpgrade: websocket"
    )
    response = parse_response(head)
    assert response is not None
    assert response.status == 101
    assert response.accepts(key)
    assert not response.accepts("AAAAAAAAAAAAAAAAAAAAAA==")
    lines = request("/chat?x=1", "localhost:1", key, [("Origin", "http://a")]).decode().split("\r\n")
    assert lines[0] == "GET /chat?x=1 HTTP/1.1"
    assert {"Host: localhost:1", f"Sec-WebSocket-Key: {key}", "Origin: http://a"} <= set(lines)
    assert lines[-2:] == ["", ""]


def test_what_is_not_http_is_no_response() -> None:
    assert parse_response(b"SSH-2.0-OpenSSH_9.2") is None


@given(st.lists(st.integers(0, 10**8), min_size=1), st.sampled_from([50.0, 90.0, 99.0, 100.0]))
def test_percentiles_are_off_by_less_than_two_percent(latencies: list[int], percent: float) -> None:
    histogram = Histogram()
    for latency in latencies:
        histogram.add(latency)
    exact = sorted(latencies)[max(0, math.ceil(percent / 100 * len(latencies)) - 1)]
    assert exact <= histogram.percentile(percent) <= exact * 1.02
    assert histogram.largest_us == max(latencies)


def test_merged_histograms_count_what_both_have_counted() -> None:
    one, other = Histogram(), Histogram()
    one.add(10, 99)
    other.add(5000)
    one.merge(other)
    assert (one.count, one.percentile(99), one.percentile(100), one.largest_us) == (100, 10, 5000, 5000)


@pytest.mark.parametrize(
    ("url", "target"),
    [
        ("ws://127.0.0.1:8000/echo", Target("127.0.0.1", 8000, "/echo")),
        ("http://localhost/a?b=c", Target("localhost", 80, "/a?b=c")),
        ("wss://[::1]:8443", Target("::1", 8443, "/", tls=True)),
    ],
)
def test_a_url_names_host_port_and_path(url: str, target: Target) -> None:
    assert parse_url(url) == target


@pytest.mark.parametrize(
    "url", ["ftp://127.0.0.1/", "ws:///echo", "ws://127.0.0.1:99999/", "ws://127.0.0.1/ä", "ws://a:b@127.0.0.1/"]
)
def test_other_urls_are_refused(url: str) -> None:
    with pytest.raises(RefusedError):
        parse_url(url)


def test_a_path_must_look_like_one() -> None:
    assert parse_path("/rooms/1?x=y") == "/rooms/1?x=y"
    for path in ("echo", "", "/a b"):
        with pytest.raises(RefusedError):
            parse_path(path)


def test_only_this_machine_may_be_loaded_by_default() -> None:
    for host in ("127.0.0.1", "127.9.9.9", "::1", "localhost"):
        require_loopback(Target(host, 1, "/"))
    for host in ("192.0.2.1", "0.0.0.0", "2001:db8::1"):
        with pytest.raises(RefusedError, match="--allow-remote"):
            require_loopback(Target(host, 1, "/"))
        assert not is_loopback(Target(host, 1, "/"))


def test_a_host_without_address_is_one_line() -> None:
    with pytest.raises(CommandError, match="has no address"):
        require_loopback(Target("nobody.invalid", 1, "/"))


@pytest.mark.skipif(not os.path.exists("/proc/net/tcp"), reason="only Linux says who listens")
def test_who_listens_on_a_port_is_found_on_linux() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        assert listening_pids(port) == [os.getpid()]
        assert name_of(os.getpid())
        before = cpu_seconds([os.getpid()])
        assert before is not None
        assert before > 0
    assert listening_pids(port) == []
    assert cpu_seconds([]) is None
    assert cpu_seconds([2**22 + 1]) is None


def test_a_look_that_comes_late_shows_no_more_than_the_whole_test(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings("127.0.0.1", 80, "/", "localhost", False, False, [], 1, 1, "x", False, 0.0, 1.2, [])
    LiveView(settings, "").tick(1.4, Measure(0.7, 70, 1, 2, 3, 4, None, 0.1))
    assert capsys.readouterr().out.endswith(f"{'█' * 30} 1.2 of 1.2 s\n")
