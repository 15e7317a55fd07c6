"""permessage-deflate, against the implementation of the websockets package and against bombs."""

import random
import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory
from websockets.frames import Frame, Opcode

from falconws.server.errors import ProtocolError
from falconws.server.websocket.deflate import DeflateSettings, PerMessageDeflate, negotiate

TEXT, BINARY = 1, 2
MIB = 1024 * 1024


def pair(settings=DeflateSettings(), **client):  # noqa: B008 - frozen
    """Return our side and theirs after a negotiation."""
    factory = ClientPerMessageDeflateFactory(**{"client_max_window_bits": True, **client})
    offer = "permessage-deflate" + "".join(
        f"; {name}" + ("" if value is None else f"={value}") for name, value in factory.get_request_params()
    )
    agreement = negotiate(offer, settings)
    assert agreement is not None
    parameters = []
    for part in agreement.header.split(";")[1:]:
        name, separator, value = part.strip().partition("=")
        parameters.append((name, value if separator else None))
    return PerMessageDeflate(agreement, settings), factory.process_response_params(parameters, [])


@settings(max_examples=60)
@given(
    st.lists(st.binary(max_size=3000), min_size=1, max_size=4),
    st.integers(9, 15),
    st.booleans(),
    st.booleans(),
    st.sampled_from([True, 9, 12, 15]),
)
def test_both_implementations_understand_each_other(messages, bits, ours, theirs, client_bits):
    own, other = pair(
        DeflateSettings(window_bits=bits, context_takeover=ours),
        client_no_context_takeover=theirs,
        client_max_window_bits=client_bits,
    )
    for message in messages:
        sent = other.encode(Frame(Opcode.BINARY, message))
        assert own.inflate(BINARY, bytes(sent.data), MIB) == message
        received = other.decode(Frame(Opcode.BINARY, own.compress(message), rsv1=True))
        assert received.data == message


@pytest.mark.parametrize(
    "offer",
    [
        "x-webkit-deflate-frame",
        "permessage-deflate; unknown",
        "permessage-deflate; server_max_window_bits",
        "permessage-deflate; server_max_window_bits=8",
        "permessage-deflate; server_max_window_bits=16",
        "permessage-deflate; client_max_window_bits=7",
        "permessage-deflate; client_max_window_bits=ten",
        "permessage-deflate; server_no_context_takeover=1",
        "permessage-deflate; server_no_context_takeover; server_no_context_takeover",
        "",
    ],
)
def test_an_offer_that_cannot_be_met_goes_on_without_compression(offer):
    assert negotiate(offer, DeflateSettings()) is None


def test_the_first_offer_that_can_be_met_wins():
    agreement = negotiate("permessage-deflate; server_max_window_bits=8, permessage-deflate", DeflateSettings())
    assert agreement is not None
    assert agreement.header == "permessage-deflate; server_max_window_bits=12"


def test_the_servers_window_is_no_larger_than_asked():
    agreement = negotiate("permessage-deflate; server_max_window_bits=10", DeflateSettings(window_bits=15))
    assert agreement is not None
    assert agreement.server_bits == 10


def test_a_bomb_is_stopped_at_the_limit():
    own, _ = pair()
    bomb = zlib.compressobj(9, zlib.DEFLATED, -12)
    payload = bomb.compress(bytes(64 * MIB)) + bomb.flush(zlib.Z_SYNC_FLUSH)
    tracemalloc.start()
    try:
        with pytest.raises(ProtocolError) as caught:
            own.inflate(BINARY, payload[:-4], MIB)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert caught.value.code == 1009
    assert peak < 2 * MIB


def test_a_large_message_that_does_not_compress_passes():
    own, other = pair()
    noise = random.Random(1).randbytes(MIB)
    sent = other.encode(Frame(Opcode.BINARY, noise))
    assert own.inflate(BINARY, bytes(sent.data), MIB) == noise


def test_exactly_the_limit_passes():
    own, other = pair()
    sent = other.encode(Frame(Opcode.BINARY, bytes(MIB)))
    assert own.inflate(BINARY, bytes(sent.data), MIB) == bytes(MIB)


def test_bytes_that_are_not_deflate_are_a_protocol_error():
    own, _ = pair()
    with pytest.raises(ProtocolError) as caught:
        own.inflate(BINARY, b"\xff\xff\xff", MIB)
    assert caught.value.code == 1002


def test_inflated_text_must_be_utf8():
    own, other = pair()
    sent = other.encode(Frame(Opcode.BINARY, b"\xff\xfe"))
    with pytest.raises(ProtocolError) as caught:
        own.inflate(TEXT, bytes(sent.data), MIB)
    assert caught.value.code == 1007


def test_a_final_block_does_not_end_the_conversation():
    own, _ = pair()
    for _ in range(2):
        stream = zlib.compressobj(9, zlib.DEFLATED, -12)
        payload = stream.compress(b"hello") + stream.flush(zlib.Z_FINISH) + b"\x00"
        assert own.inflate(TEXT, payload, MIB) == "hello"
