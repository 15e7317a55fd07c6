"""Refusing a handshake with an HTTP response of the application's choice."""

from __future__ import annotations

import json

import pytest

from .client import Peer
from .servers import Engine

WITHOUT_EXTENSION = ("daphne",)


@pytest.mark.promise("http-error-before-accept")
async def test_http_error_in_the_responder_is_the_response(peer: Peer) -> None:
    response = await peer.refused("http-error", "kind=429")
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "7"
    assert response.headers["Content-Type"].startswith("application/json")
    assert json.loads(response.body or b"null") == {"title": "Slow down", "description": "Too many."}
    assert (await peer.left())["kinds"] == []
    assert peer.log == []


@pytest.mark.promise("http-error-before-accept")
async def test_several_challenges_of_a_401_arrive(peer: Peer) -> None:
    response = await peer.refused("http-error", "kind=401")
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer, Basic realm="x"'
    assert json.loads(response.body or b"null") == {"title": "Token missing"}


@pytest.mark.promise("http-error-before-accept")
async def test_the_error_is_serialized_in_the_type_the_client_accepts(peer: Peer) -> None:
    response = await peer.refused("http-error", "kind=429", additional_headers={"Accept": "application/json"})
    assert response.headers["Content-Type"].startswith("application/json")
    assert "Accept" in response.headers["Vary"]


@pytest.mark.promise("http-error-in-middleware")
async def test_http_error_in_process_request_ws_is_the_response(peer: Peer) -> None:
    response = await peer.refused("echo", additional_headers={"X-Middleware": "401"})
    assert response.status_code == 401
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="contract"'
    assert json.loads(response.body or b"null") == {"title": "Token missing", "description": "Send one."}


@pytest.mark.promise("http-error-in-middleware")
async def test_http_error_in_process_resource_ws_is_the_response(peer: Peer) -> None:
    response = await peer.refused("echo", additional_headers={"X-Middleware": "429"})
    assert response.status_code == 429
    assert response.headers["Retry-After"] == "7"


@pytest.mark.promise("http-error-in-middleware")
async def test_http_error_in_a_hook_is_the_response(peer: Peer) -> None:
    response = await peer.refused("hooked", "hook=deny")
    assert response.status_code == 423
    assert json.loads(response.body or b"null") == {"title": "Hook says no"}


@pytest.mark.promise("http-status-before-accept")
async def test_http_status_is_the_response(peer: Peer) -> None:
    # The client must not follow the redirect by itself.
    response = await peer.refused_raw("http-error", "kind=status")
    assert response.status == 307
    assert response.headers["location"] == "/elsewhere"
    assert response.body == b"over there"


@pytest.mark.promise("unknown-route")
async def test_an_unknown_route_is_a_404(peer: Peer) -> None:
    assert (await peer.refused("nowhere")).status_code == 404


@pytest.mark.promise("unknown-route")
async def test_a_resource_without_on_websocket_is_a_405(peer: Peer) -> None:
    assert (await peer.refused("http-only")).status_code == 405


@pytest.mark.promise("fault-before-accept")
async def test_a_fault_before_accept_is_a_500_that_tells_nothing(peer: Peer) -> None:
    response = await peer.refused("fault-before-accept")
    assert response.status_code == 500
    assert b"fault of the application" not in (response.body or b"")
    assert (await peer.left())["kinds"] == []
    assert peer.log == [("ERROR", True)]


@pytest.mark.promise("error-handler-before-accept")
async def test_an_error_handler_may_turn_an_error_into_a_response(peer: Peer) -> None:
    response = await peer.refused("http-error", "kind=kettle")
    assert response.status_code == 409
    assert response.headers["X-Kettle"] == "on"


@pytest.mark.promise("deny")
async def test_deny_with_text(peer: Peer) -> None:
    response = await peer.refused("deny", "body=text")
    assert (response.status_code, response.headers["Retry-After"]) == (429, "7")
    assert response.headers["Content-Type"] == "text/plain; charset=utf-8"
    assert bytes(response.body or b"") == "später".encode()
    note = await peer.saw("denied")
    assert (note["closed"], note["supported"]) == (True, True)


@pytest.mark.promise("deny")
async def test_deny_with_data(peer: Peer) -> None:
    response = await peer.refused("deny", "body=data")
    assert (response.status_code, response.headers["Content-Type"]) == (418, "image/x-pot")
    assert bytes(response.body or b"") == b"\x00\xff"


@pytest.mark.promise("deny")
async def test_deny_with_media(peer: Peer) -> None:
    response = await peer.refused("deny", "body=media")
    assert (response.status_code, response.headers["Content-Type"]) == (422, "application/json")
    assert json.loads(response.body or b"null") == {"field": "name"}


@pytest.mark.promise("bare-deny")
async def test_deny_without_arguments_is_a_403(peer: Peer) -> None:
    assert (await peer.refused("deny")).status_code == 403
    assert (await peer.left())["kinds"] == []


@pytest.mark.promise("denial-or-403")
@pytest.mark.parametrize(("name", "query"), [("http-error", "kind=429"), ("deny", "body=text")])
async def test_a_refusal_is_the_response_or_a_403_and_a_log_line_that_says_why(
    peer: Peer, engine: Engine, name: str, query: str
) -> None:
    response = await peer.refused(name, query)
    assert (await peer.left())["kinds"] == []
    if engine.name not in WITHOUT_EXTENSION:
        assert response.status_code == 429
        assert peer.log == []
        return
    assert response.status_code == 403
    assert peer.log == [("WARNING", False)]
    message = peer.all("log")[0]["message"]
    assert "429" in message
    assert "websocket.http.response" in message
