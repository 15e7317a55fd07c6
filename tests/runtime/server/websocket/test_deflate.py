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
DEFAULTS = DeflateSettings()
MIB = 1024 * 1024


def pair(settings=DEFAULTS, **client):
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
        # Not looked at closely enough once: leading zeros, values that are none, quotes, what is no token.
        "permessage-deflate; client_max_window_bits=010",
        "permessage-deflate; server_max_window_bits=09",
        "permessage-deflate; client_max_window_bits=+10",
        "permessage-deflate; client_max_window_bits=",
        "permessage-deflate; client_max_window_bits=\u0661\u0660",
        "permessage-deflate; server_no_context_takeover=",
        'permessage-deflate; client_max_window_bits="10',
        'permessage-deflate; client_max_window_bits=10"',
        'permessage-deflate; client_max_window_bits=""10""',
        'permessage-deflate; client_max_window_bits="\\10"',
        "permessage-deflate; client_max_window_bits=10 11",
        "permessage-deflate;",
        "permessage-deflate; ;",
        "permessage-deflate x",
        "permessage-deflate=1",
        "permessage-deflate\u00a0",
        "permessage-deflate; client_max_window_bits\x0b=10",
        "; permessage-deflate",
        "",
    ],
)
def test_an_offer_that_cannot_be_met_goes_on_without_compression(offer):
    assert negotiate(offer, DeflateSettings()) is None


@pytest.mark.parametrize(
    "offer",
    [
        "permessage-deflate",
        "PerMessage-Deflate ; Client_Max_Window_Bits",
        'permessage-deflate; client_max_window_bits="10"',
        "permessage-deflate\t;\tclient_max_window_bits = 10",
        "x-other; a=b, permessage-deflate; server_max_window_bits=15",
        "permessage-deflate; unknown , permessage-deflate",
    ],
)
def test_an_offer_is_read_as_the_grammar_says(offer):
    assert negotiate(offer, DeflateSettings()) is not None


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


def stored_final(data):
    """Return one final block that stores *data*."""
    return b"\x01" + len(data).to_bytes(2, "little") + (len(data) ^ 0xFFFF).to_bytes(2, "little") + data


@pytest.mark.parametrize("takeover", [True, False])
def test_a_final_block_in_the_middle_cuts_nothing_off(takeover):
    own, _ = pair(DeflateSettings(context_takeover=takeover))
    rest = zlib.compressobj(9, zlib.DEFLATED, -12)
    payload = stored_final(b"one ") + stored_final(b"two ") + rest.compress(b"three") + rest.flush(zlib.Z_SYNC_FLUSH)
    for _ in range(2):
        assert own.inflate(TEXT, payload[:-4], MIB) == "one two three"


def test_a_large_message_behind_a_final_block_passes():
    own, _ = pair()
    noise = random.Random(1).randbytes(MIB // 2)
    rest = zlib.compressobj(9, zlib.DEFLATED, -12)
    payload = stored_final(b"one") + rest.compress(noise) + rest.flush(zlib.Z_SYNC_FLUSH)
    assert own.inflate(BINARY, payload[:-4], MIB) == b"one" + noise


def test_what_follows_a_final_block_must_be_deflate():
    own, _ = pair()
    with pytest.raises(ProtocolError) as caught:
        own.inflate(BINARY, stored_final(b"one") + b"\xff\xff\xff", MIB)
    assert caught.value.code == 1002


def test_a_row_of_final_blocks_is_refused():
    own, _ = pair()
    with pytest.raises(ProtocolError) as caught:
        own.inflate(BINARY, b"\x03\x00" * 100_000, MIB)
    assert caught.value.code == 1002
