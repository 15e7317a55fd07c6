"""What a trusted proxy tells of its client is believed, as far as each proxy in the list is trusted; nothing else."""

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws.server.addresses import network_of, plain_host
from falconws.server.forwarded import TrustedProxies


def applied(headers, *, client=("127.0.0.1", 1), trusted="127.0.0.1,::1,10.0.0.0/8", kind="http", unix=False):
    """Return client, scheme and Host header behind the proxy."""
    scheme = "ws" if kind == "websocket" else "http"
    pairs = [(b"host", b"inner:8000"), *((name.lower().encode(), value.encode()) for name, value in headers)]
    scope = {"type": kind, "client": client, "scheme": scheme, "headers": pairs}
    TrustedProxies(trusted, trust_unix_socket=unix).apply(scope)
    hosts = [value.decode() for name, value in scope["headers"] if name == b"host"]
    assert len(hosts) == 1
    return scope["client"] and scope["client"][0], scope["scheme"], hosts[0]


FOR, PROTO, HOST, PORT = "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "X-Forwarded-Port"


@pytest.mark.parametrize(
    ("headers", "client", "scheme", "host"),
    [
        ([(FOR, "1.2.3.4")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "6.6.6.6, 1.2.3.4")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "6.6.6.6, 1.2.3.4, 10.0.0.7")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "6.6.6.6"), (FOR, "1.2.3.4")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "10.0.0.1, 10.0.0.2")], "10.0.0.1", "http", "inner:8000"),
        ([(FOR, "1.2.3.4:5678")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "[2001:db8::1]:5678")], "2001:db8::1", "http", "inner:8000"),
        ([(FOR, "2001:db8::1")], "2001:db8::1", "http", "inner:8000"),
        ([(FOR, "::ffff:1.2.3.4")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "1.2.3.4, ::ffff:10.0.0.1")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "1.2.3.4:_hidden")], "1.2.3.4", "http", "inner:8000"),
        ([(FOR, "[2001:DB8:0::1]:_p.1-2")], "2001:db8::1", "http", "inner:8000"),
        ([(FOR, "")], "127.0.0.1", "http", "inner:8000"),
        ([(PROTO, "https")], "127.0.0.1", "https", "inner:8000"),
        ([(PROTO, "HTTPS")], "127.0.0.1", "https", "inner:8000"),
        ([(PROTO, "https, http")], "127.0.0.1", "https", "inner:8000"),
        ([(PROTO, "https,http")], "127.0.0.1", "https", "inner:8000"),
        ([(PROTO, "https"), (PROTO, "http")], "127.0.0.1", "https", "inner:8000"),
        ([(PROTO, " wss ")], "127.0.0.1", "https", "inner:8000"),
        ([(PROTO, "gopher")], "127.0.0.1", "http", "inner:8000"),
        # The client has made up the first item of each list; the proxy has added the second.
        ([(FOR, "6.6.6.6, 1.2.3.4"), (PROTO, "https, http"), (HOST, "evil, good")], "1.2.3.4", "http", "good"),
        ([(HOST, "example.com")], "127.0.0.1", "http", "example.com"),
        ([(HOST, "example.com:8443")], "127.0.0.1", "http", "example.com:8443"),
        ([(HOST, "example.com"), (PORT, "8443"), (PROTO, "https")], "127.0.0.1", "https", "example.com:8443"),
        ([(HOST, "example.com"), (PORT, "443"), (PROTO, "https")], "127.0.0.1", "https", "example.com"),
        ([(HOST, "example.com:1"), (PORT, "2")], "127.0.0.1", "http", "example.com:1"),
        ([(HOST, "[2001:db8::1]"), (PORT, "81")], "127.0.0.1", "http", "[2001:db8::1]:81"),
        ([(HOST, "a/b")], "127.0.0.1", "http", "inner:8000"),
        ([(PORT, "x")], "127.0.0.1", "http", "inner:8000"),
        ([(PORT, "0")], "127.0.0.1", "http", "inner:8000"),
        ([(PORT, "65536")], "127.0.0.1", "http", "inner:8000"),
        ([(HOST, "user@evil")], "127.0.0.1", "http", "inner:8000"),
        ([(FOR, "1.2.3.4, ,")], "1.2.3.4", "http", "inner:8000"),
        ([("Forwarded", "for=1.2.3.4;proto=https;host=example.com")], "1.2.3.4", "https", "example.com"),
        ([("Forwarded", 'For="[2001:db8::1]:99";Proto=HTTPS')], "2001:db8::1", "https", "inner:8000"),
        ([("Forwarded", "for=6.6.6.6;proto=https, for=1.2.3.4;proto=http")], "1.2.3.4", "http", "inner:8000"),
        ([("Forwarded", "for=1.2.3.4;proto=https, for=10.0.0.9;proto=http")], "1.2.3.4", "https", "inner:8000"),
        ([("Forwarded", "for=6.6.6.6"), ("Forwarded", "for=1.2.3.4")], "1.2.3.4", "http", "inner:8000"),
        ([("Forwarded", 'for="_hidden, x";proto=https, for=1.2.3.4')], "1.2.3.4", "http", "inner:8000"),
        # A pair and an element may be empty (RFC 7239 section 4, RFC 9110 section 5.6.1.2).
        ([("Forwarded", ", ;for=1.2.3.4;;proto=https; ,")], "1.2.3.4", "https", "inner:8000"),
        ([("Forwarded", 'for="1.2.3.4')], "127.0.0.1", "http", "inner:8000"),
        # A proxy that sets the one header passes on the other.
        ([("Forwarded", "for=6.6.6.6;host=evil"), (FOR, "1.2.3.4")], "1.2.3.4", "http", "inner:8000"),
    ],
)
def test_a_trusted_proxy_is_believed(headers, client, scheme, host):
    assert applied(headers) == (client, scheme, host)
    # The address of the proxy, mapped into IPv6.
    mapped = applied(headers, client=("::ffff:127.0.0.1", 1))
    assert mapped[1:] == (scheme, host)
    websocket = applied(headers, kind="websocket")
    assert websocket == (client, scheme.replace("http", "ws"), host)


MALFORMED = [
    *(
        '"',
        'x="',
        'for="6.6.6.6',
        'for=6.6.6.6;by="',
        "for=6.6.6.6;x",
        "for=6.6.6.6 proto=https",
        "for = 6.6.6.6",
        "=",
        "x",
    ),
    *(
        'for="6.6.6.6"x',
        'for="\\"',
        'for="\\',
        "for=6.6.6.6;proto=https;(",
        'for="' + "6" * 300 + '"',
        "for=6.6.6.6\x01\xe9",
    ),
    'x="\\",' * 200,
]
"""What a client can send as Forwarded to hide behind its proxy, if a malformed header was ignored as a whole."""


@pytest.mark.parametrize("made_up", MALFORMED)
def test_what_a_proxy_adds_to_a_malformed_forwarded_header_is_believed(made_up):
    for added in ("for=1.2.3.4;proto=https;host=example.com", 'for="1.2.3.4:99";host="example.com";proto="https"'):
        expected = ("1.2.3.4", "https", "example.com")
        assert applied([("Forwarded", f"{made_up}, {added}")]) == expected
        assert applied([("Forwarded", made_up), ("Forwarded", added)]) == expected
        # The client has made up the address of a trusted proxy: that is as far as the list is believed.
        assert applied([("Forwarded", f"for=6.6.6.6, {made_up}, for=10.0.0.9")])[0] == "10.0.0.9"
    assert applied([("Forwarded", made_up)])[0] == "127.0.0.1"


NO_ADDRESS = [
    *("unknown", "_hidden", "_SEVKISEK", "localhost", "example.com", "word", "a b\x01", '"1.2.3.4"', "fe80::1%eth0"),
    *("1.2.3", "1.2.3.256", "010.0.0.1", "1.2.3.4.5", "0x7f.1", "2130706433", "12345::1", ":::1", "[1.2.3.4]x", "[::1"),
    *("1.2.3.4/8", "1.2.3.4 ", "-", "*", "unix:", "\u0661.2.3.4", "1.2.3.4\n", ":80", "unknown:80", "_h:_p", "1" * 70),
]
"""What a node of X-Forwarded-For or Forwarded can be instead of an address (RFC 7239 section 6)."""


@pytest.mark.parametrize("node", NO_ADDRESS)
@pytest.mark.parametrize("trusted", ["127.0.0.1,10.0.0.0/8", "*"])
def test_a_client_without_an_address_counts_as_the_proxy_that_reports_it(node, trusted):
    node = node.encode().decode("latin-1")
    forwarded = f'for="{node.replace(chr(34), chr(92) + chr(34))}";proto=https;host=example.com'
    x_forwarded = [(FOR, node), (PROTO, "https"), (HOST, "example.com")]
    for headers in ([("Forwarded", forwarded)], x_forwarded):
        if node.strip() != node and headers is x_forwarded:
            continue
        # What else the trusted proxy reports is believed.
        assert applied(headers, trusted=trusted) == ("127.0.0.1", "https", "example.com")
        # The proxy in front of the one that is connected, and whatever the client has made up before.
        name, value = headers[0]
        longer = "for=6.6.6.6, {}, for=10.0.0.9" if name == "Forwarded" else "6.6.6.6, {}, 10.0.0.9"
        assert applied([(name, longer.format(value))], trusted=trusted)[0] == "10.0.0.9"


@pytest.mark.parametrize("client", [None, ("", None)])
def test_a_client_without_an_address_behind_a_unix_socket_has_none(client):
    assert applied([(FOR, "unknown"), (PROTO, "https")], client=client, unix=True)[:2] == (
        client and client[0],
        "https",
    )


@pytest.mark.parametrize("trusted", ["nginx", "localhost", "10.0.0.0/33", "1.2.3", "unix:", "127.0.0.1 10.0.0.1"])
def test_a_trusted_proxy_is_an_address_or_a_network(trusted):
    with pytest.raises(ValueError, match="is neither an address nor a network"):
        TrustedProxies(trusted, trust_unix_socket=False)


def test_a_trusted_network_may_be_mapped_into_ipv6():
    headers = [(FOR, "1.2.3.4")]
    for client in ("10.1.2.3", "::ffff:10.1.2.3"):
        assert applied(headers, client=(client, 1), trusted=" ::ffff:10.0.0.0/104,")[0] == "1.2.3.4"
        assert applied(headers, client=(client, 1), trusted="::ffff:10.1.2.3")[0] == "1.2.3.4"


EVERYTHING = [(FOR, "1.2.3.4"), (PROTO, "https"), (HOST, "evil"), (PORT, "1"), ("Forwarded", "for=1.2.3.4;host=evil")]


@pytest.mark.parametrize("client", [("192.0.2.1", 1), ("::ffff:192.0.2.1", 1), ("2001:db8::1", 1), None, ("/s", None)])
@pytest.mark.parametrize("headers", [EVERYTHING, EVERYTHING[-1:]])
def test_others_are_not_believed(client, headers):
    assert applied(headers, client=client) == (client and client[0], "http", "inner:8000")


@pytest.mark.parametrize("client", [None, ("", None)])
def test_a_proxy_on_the_unix_socket_is_believed(client):
    assert applied([(FOR, "6.6.6.6, 1.2.3.4"), (PROTO, "https")], client=client, unix=True)[:2] == ("1.2.3.4", "https")


def test_all_can_be_trusted():
    assert applied([(FOR, "1.2.3.4, 5.6.7.8")], client=("192.0.2.1", 1), trusted="*")[0] == "1.2.3.4"


@given(st.lists(st.tuples(st.sampled_from([FOR, PROTO, HOST, PORT, "Forwarded"]), st.text(max_size=40)), max_size=5))
def test_any_header_leaves_a_scope_that_applications_can_read(headers):
    headers = [(name, value.encode("utf-8").decode("latin-1")) for name, value in headers]
    client, scheme, host = applied([(n, v) for n, v in headers])
    assert scheme in ("http", "https")
    assert client == str(ipaddress.ip_address(client))
    assert not any(character in host for character in "\r\n\0 ")


def test_mapped_addresses_are_ipv4_addresses():
    assert plain_host("::ffff:192.0.2.1") == plain_host("::FFFF:c000:0201") == "192.0.2.1"
    assert plain_host("2001:db8::1") == "2001:db8::1"
    assert plain_host("::ffff:nonsense") == "::ffff:nonsense"


def test_a_network_of_ipv6_addresses_counts_as_one_client():
    assert network_of("2001:db8::1", 64) == network_of("2001:db8::2:3", 64) == network_of("2001:db8::1%eth0", 64)
    assert network_of("2001:db8::1", 64) != network_of("2001:db8:0:1::1", 64)
    assert network_of("2001:db8:0:1::1", 48) == network_of("2001:db8::1", 48)
    assert network_of("::ffff:192.0.2.1", 64) == network_of("192.0.2.1", 64) != network_of("192.0.2.2", 64)
