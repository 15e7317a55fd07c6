"""Frame headers and close payloads, byte by byte as RFC 6455 writes them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from websockets.frames import Frame, Opcode

from falconws.server.errors import ProtocolError
from falconws.server.websocket.frames import frame_header, parse_close_payload, shorten_reason


@pytest.mark.parametrize(
    ("size", "header"),
    [
        (0, b"\x81\x00"),
        (125, b"\x81\x7d"),
        (126, b"\x81\x7e\x00\x7e"),
        (65535, b"\x81\x7e\xff\xff"),
        (65536, b"\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00"),
    ],
)
def test_the_length_has_its_shortest_form(size, header):
    assert frame_header(0x81, size) == header


@given(st.binary(max_size=70_000))
def test_a_frame_is_what_another_implementation_writes(payload):
    theirs = Frame(Opcode.BINARY, payload).serialize(mask=False)
    assert frame_header(0x82, len(payload)) + payload == theirs


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
def test_a_close_code_that_may_not_be_sent_is_a_protocol_error(code):
    with pytest.raises(ProtocolError) as caught:
        parse_close_payload(code.to_bytes(2, "big"))
    assert caught.value.code == 1002


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1011, 1014, 3000, 3999, 4000, 4999])
def test_a_close_code_passes_with_its_reason(code):
    assert parse_close_payload(code.to_bytes(2, "big") + "tschüss".encode()) == (code, "tschüss")


def test_an_empty_close_payload_is_1005():
    assert parse_close_payload(b"") == (1005, "")


def test_half_a_close_code_is_a_protocol_error():
    with pytest.raises(ProtocolError) as caught:
        parse_close_payload(b"\x03")
    assert caught.value.code == 1002


def test_a_close_reason_that_is_not_utf8_is_1007():
    with pytest.raises(ProtocolError) as caught:
        parse_close_payload(b"\x03\xe8\xff")
    assert caught.value.code == 1007


@given(st.text())
def test_a_close_reason_is_cut_at_a_character_so_that_it_fits(reason):
    shortened = shorten_reason(reason)
    assert len(shortened) <= 123
    assert reason.startswith(shortened.decode())
    assert len(shortened) == len(reason.encode()) or len(shortened) > 119
