import pickle

import falcon
import pytest

from falconws import WebSocketDisconnected
from falconws.errors import disconnect_in


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


@pytest.mark.parametrize("kind", [WebSocketDisconnected, falcon.WebSocketDisconnected])
def test_a_group_of_nothing_but_disconnects_is_a_disconnect(kind: type[falcon.WebSocketDisconnected]) -> None:
    gone = kind(1001)
    assert disconnect_in(gone) is gone
    assert disconnect_in(ExceptionGroup("", [gone])) is gone
    assert disconnect_in(ExceptionGroup("", [ExceptionGroup("", [gone]), kind(1006)])) is gone


@pytest.mark.parametrize(
    "error",
    [
        ValueError(),
        ExceptionGroup("", [ValueError()]),
        ExceptionGroup("", [WebSocketDisconnected(1001), ValueError()]),
        ExceptionGroup("", [ExceptionGroup("", [ValueError()]), WebSocketDisconnected(1001)]),
        BaseExceptionGroup("", [WebSocketDisconnected(1001), SystemExit()]),
    ],
)
def test_a_group_with_another_error_is_none(error: BaseException) -> None:
    assert disconnect_in(error) is None
