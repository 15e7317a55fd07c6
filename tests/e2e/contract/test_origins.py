"""Who may connect: ``ws_options.allowed_origins``."""

from __future__ import annotations

import pytest

from .client import Peer

OWN = "http://127.0.0.1:{port}"

SAME_ORIGIN_REFUSED = {
    "other host": "http://evil.example",
    "other scheme": "https://127.0.0.1:{port}",
    "other port": "http://127.0.0.1:1",
    "no port": "http://127.0.0.1",
    "prefix": "http://127.0.0.1:{port}.evil.example",
    "suffix": "http://evil-127.0.0.1:{port}",
    "user info": "http://127.0.0.1:{port}@evil.example",
    "path": "http://127.0.0.1:{port}/path",
    "null": "null",
    "empty": "",
}
LISTED_ALLOWED = (
    "https://app.example.com",
    "https://app.example.com:443",
    "HTTPS://App.Example.COM",
    "http://localhost:3000",
    "https://a.example.org",
    "https://a.b.example.org",
)
LISTED_REFUSED = (
    "http://app.example.com",
    "https://app.example.com:8443",
    "https://app.example.com.evil.example",
    "https://evil-app.example.com",
    "https://example.com",
    "http://localhost",
    "http://localhost:30000",
    "https://example.org",
    "https://evilexample.org",
    "http://a.example.org",
    "https://a.example.org.evil.example",
    "null",
)


async def status_of(peer: Peer, name: str, *headers: str) -> int:
    host = f"127.0.0.1:{peer.server.port}"
    response = await peer.refused_raw(name, headers=headers, host=host)
    return response.status


@pytest.mark.promise("origins")
async def test_same_origin_lets_its_own_pages_and_non_browsers_in(peer: Peer) -> None:
    own = OWN.format(port=peer.server.port)
    assert await status_of(peer, "same-origin", f"Origin: {own}") == 101
    assert await status_of(peer, "same-origin", f"Origin: {own.upper()}") == 101
    assert await status_of(peer, "same-origin") == 101


@pytest.mark.promise("origins")
@pytest.mark.parametrize("variant", SAME_ORIGIN_REFUSED)
async def test_same_origin_refuses_any_other(peer: Peer, variant: str) -> None:
    origin = SAME_ORIGIN_REFUSED[variant].format(port=peer.server.port)
    # Some servers do not even pass on what is no origin at all.
    assert await status_of(peer, "same-origin", f"Origin: {origin}") in (403, 400)
    await peer.all_left()
    assert peer.all("application code ran") == []


@pytest.mark.promise("origins")
async def test_two_origins_are_refused(peer: Peer) -> None:
    own = f"Origin: {OWN.format(port=peer.server.port)}"
    assert await status_of(peer, "same-origin", own, "Origin: http://evil.example") in (403, 400)
    await peer.all_left()
    assert peer.all("application code ran") == []


@pytest.mark.promise("origins")
async def test_a_list_names_exact_origins_and_subdomains(peer: Peer) -> None:
    for origin in LISTED_ALLOWED:
        assert (origin, await status_of(peer, "listed-origins", f"Origin: {origin}")) == (origin, 101)
    for origin in LISTED_REFUSED:
        assert (origin, await status_of(peer, "listed-origins", f"Origin: {origin}")) == (origin, 403)


@pytest.mark.promise("origins")
async def test_the_asterisk_lets_everybody_in(peer: Peer) -> None:
    for origin in ("http://evil.example", "null"):
        assert await status_of(peer, "any-origin", f"Origin: {origin}") == 101


@pytest.mark.promise("origin-refusal")
async def test_a_refusal_runs_no_application_code_and_logs_one_line(peer: Peer) -> None:
    assert await status_of(peer, "same-origin", "Origin: http://evil.example") == 403
    await peer.left()
    assert peer.all("application code ran") == []
    lines = [note for note in peer.all("log") if note["logger"] == "falconws"]
    assert len([line for line in lines if "http://evil.example" in line["message"]]) == 1
    assert "allowed_origins" in lines[0]["message"]
    assert "same-origin" in lines[0]["message"]
    assert peer.log == [("WARNING", False)]


@pytest.mark.promise("origins-unset")
async def test_without_the_setting_everybody_is_let_in_and_one_warning_says_so(peer: Peer) -> None:
    for origin in ("http://evil.example", "http://evil.example"):
        assert await status_of(peer, "no-origins-set", f"Origin: {origin}") == 101
    await peer.all_left()
    assert peer.log == [("WARNING", False)]
    assert "allowed_origins" in peer.all("log")[0]["message"]


@pytest.mark.promise("allowed-hosts")
@pytest.mark.parametrize(
    ("host", "allowed"),
    [("kept.example", True), ("a.kept.example:8000", True), ("evil.example", False), ("kept.example.evil", False)],
)
async def test_a_host_that_is_not_listed_is_refused(peer: Peer, host: str, allowed: bool) -> None:
    response = await peer.refused_raw("hosts", host=host)
    # A server without denial responses answers 403.
    assert (response.status == 101) is allowed
    assert response.status in (101, 421, 403)
    await peer.left()
    assert bool(peer.all("application code ran")) is allowed
    assert (("WARNING", False) in peer.log) is not allowed
    head, _, body = await peer.get_raw("hosts", "", host=host)
    assert head.startswith(b"HTTP/1.1 200" if allowed else b"HTTP/1.1 421")
    assert (b"hello" in body) is allowed
