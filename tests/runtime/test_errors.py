import pickle

import falcon
import pytest

from falconws import WebSocketDisconnected


def test_handlers_written_for_falcon_catch_it() -> None:
    with pytest.raises(falcon.WebSocketDisconnected):
        raise WebSocketDisconnected(4000, "done")
    assert issubclass(WebSocketDisconnected, ConnectionError)


def test_an_unknown_code_is_abnormal_never_normal() -> None:
    assert (WebSocketDisconnected().code, WebSocketDisconnected().reason) == (1006, "")


def test_it_says_how_the_connection_ended() -> None:
    error = WebSocketDisconnected(4001, "token expired")
    assert str(error) == "WebSocket closed with code 4001 (token expired)"
    assert str(WebSocketDisconnected(1001)) == "WebSocket closed with code 1001"
    assert repr(error) == "WebSocketDisconnected(code=4001, reason='token expired')"


def test_it_survives_pickling() -> None:
    copy = pickle.loads(pickle.dumps(WebSocketDisconnected(4001, "x")))
    assert (copy.code, copy.reason) == (4001, "x")
