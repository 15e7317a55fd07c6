"""What the page shows of an application, without a browser."""

from __future__ import annotations

import json
import re

import pytest

from falconws.console.routes import Route
from falconws.console.views import start_view


@pytest.mark.parametrize(
    ("paths", "suggested"),
    [
        ((), ["add-resource chat --pattern room", "test"]),
        (("/echo",), ["add-resource chat --pattern room", "test", "connect /echo"]),
        (("/rooms/{room}/chat", "/hello"), ["add-resource ticker --pattern feed", "test", "connect /hello"]),
        (("/chat", "/ticker", "/words"), ["test", "connect /chat"]),
    ],
)
def test_the_start_suggests_what_the_application_does_not_have(paths: tuple[str, ...], suggested: list[str]) -> None:
    view = json.dumps(start_view("demo", [Route(path, (), True) for path in paths], None, "", ""))
    assert re.findall(r'"falconws ([^"]+)"\]', view.partition("Go on")[2]) == suggested
