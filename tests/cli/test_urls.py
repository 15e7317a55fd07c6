"""URLs, paths and hosts as they are typed."""

import pytest

from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.urls import WebSocketUrl, is_loopback, parse_path, parse_url, require_loopback


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("ws://127.0.0.1:8000/echo", WebSocketUrl("127.0.0.1", 8000, "/echo")),
        ("http://localhost/a?b=c", WebSocketUrl("localhost", 80, "/a?b=c")),
        ("wss://[::1]:8443", WebSocketUrl("::1", 8443, "/", tls=True)),
    ],
)
def test_a_url_names_host_port_and_path(url: str, expected: WebSocketUrl) -> None:
    assert parse_url(url) == expected


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
        require_loopback(WebSocketUrl(host, 1, "/"))
    for host in ("192.0.2.1", "0.0.0.0", "2001:db8::1"):
        with pytest.raises(RefusedError, match="--allow-remote"):
            require_loopback(WebSocketUrl(host, 1, "/"))
        assert not is_loopback(WebSocketUrl(host, 1, "/"))


def test_a_host_without_address_is_one_line() -> None:
    with pytest.raises(CommandError, match="has no address"):
        require_loopback(WebSocketUrl("nobody.invalid", 1, "/"))
