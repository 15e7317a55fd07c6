import falcon.asgi
import pytest

import falconws


def test_options_start_with_falcons_values_and_ours() -> None:
    ours, theirs = falconws.WebSocketOptions(), falcon.asgi.WebSocketOptions()
    assert ours.error_close_code == theirs.error_close_code
    assert ours.default_close_reasons == theirs.default_close_reasons
    assert ours.max_receive_queue == theirs.max_receive_queue
    assert (ours.allowed_origins, ours.disconnect_grace_s, ours.max_read_ahead) == (None, 10.0, 1024 * 1024)


def test_a_misspelt_option_is_an_error() -> None:
    with pytest.raises(AttributeError):
        falconws.WebSocketOptions().allowed_origin = "*"


def test_origins_are_checked_when_they_are_set() -> None:
    options = falconws.WebSocketOptions()
    with pytest.raises(ValueError, match=r"allowed_origins contains 'example\.com'"):
        options.allowed_origins = ["example.com"]
    assert options.allowed_origins is None
    options.allowed_origins = ["https://example.com"]
    assert options.allowed_origins == ("https://example.com",)
    options.allowed_origins = None
    assert options.origin_policy is None


def test_they_show_what_they_are() -> None:
    assert repr(falconws.WebSocketOptions()) == (
        "WebSocketOptions(error_close_code=1011, max_receive_queue=4, max_read_ahead=1048576, disconnect_grace_s=10.0, "
        "rate_limit=None, allowed_origins=None)"
    )
