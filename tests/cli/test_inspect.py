"""`falconws inspect` on real apps."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

APP = '''
import falcon
import falcon.media
import falconws

print("noise from the import")


class ShopError(Exception):
    """Of our own."""


async def handle_shop_error(req, resp, error, params, ws=None):
    raise falcon.HTTPConflict()


async def catch_all(req, resp, ws=None, **params):
    resp.media = None


class Orders:
    async def on_get(self, req, resp, number):
        resp.media = number

    async def on_post(self, req, resp, number):
        resp.media = number

    async def on_websocket(self, req, ws, number):
        await ws.accept()


class Search:
    async def on_get_words(self, req, resp):
        resp.media = []

    async def on_websocket_words(self, req, ws):
        await ws.accept()


class Guard:
    async def process_request_ws(self, req):
        pass

    async def process_resource_ws(self, req, ws, resource, params):
        pass

    async def process_response(self, req, resp, resource, succeeded):
        pass


class Pool:
    async def process_startup(self, scope, event):
        pass

    async def process_shutdown(self, scope, event):
        pass


class Upper(falconws.TextBaseHandlerWS):
    def serialize(self, media):
        return str(media).upper()

    def deserialize(self, payload):
        return payload


def create_app():
    app = falconws.App(middleware=[Guard(), Pool()])
    app.ws_options.allowed_origins = ["https://example.com"]
    app.ws_options.media_handlers[falconws.WebSocketPayloadType.TEXT] = Upper()
    app.resp_options.media_handlers["text/csv"] = falcon.media.JSONHandler()
    app.add_route("/orders/{number:int}", Orders())
    app.add_route("/search/words", Search(), suffix="words")
    app.add_sink(catch_all, "/legacy")
    app.add_static_route("/static", FOLDER)
    app.add_error_handler(ShopError, handle_shop_error)
    return app


class Odd(falcon.asgi.App):
    """An app of Falcon's own."""


plain = Odd()
wrapped = print
'''


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("shop").resolve()
    (root / "static").mkdir()
    (root / "shop").mkdir()
    (root / "shop" / "app.py").write_text(APP.replace("FOLDER", repr(str(root / "static"))))
    (root / "pyproject.toml").write_text('[tool.falconws]\napp = "shop.app:create_app"\n')
    return root


def inspect(root: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "falconws_cli", "inspect", *words]
    return subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=60, check=False)


def line_of(text: str) -> int:
    return APP.splitlines().index(text) + 1


@pytest.fixture(scope="module")
def survey(shop: Path) -> dict[str, Any]:
    done = inspect(shop / "shop", "--json")
    assert done.returncode == 0, done.stderr
    assert "noise from the import" in done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_routes_have_their_methods_and_where_they_are_written(survey: dict[str, Any]) -> None:
    orders, search = survey["routes"]
    assert orders["path"] == "/orders/{number:int}"
    assert orders["resource"]["name"] == "Orders"
    assert orders["resource"]["source"] == f"shop/app.py:{line_of('class Orders:')}"
    assert [method["name"] for method in orders["resource"]["methods"]] == ["GET", "POST", "WEBSOCKET"]
    responder = orders["resource"]["methods"][2]
    assert responder["source"] == f"shop/app.py:{line_of('    async def on_websocket(self, req, ws, number):')}"
    names = {method["name"]: method["function"] for method in search["resource"]["methods"]}
    assert names == {"GET": "on_get_words", "WEBSOCKET": "on_websocket_words"}


def test_middleware_has_its_websocket_methods(survey: dict[str, Any]) -> None:
    [guard] = survey["middleware"]
    assert guard["name"] == "Guard"
    names = [method["name"] for method in guard["methods"]]
    assert names == ["process_request_ws", "process_resource_ws", "process_response"]
    [pool] = survey["lifespan"]
    assert (pool["name"], [method["name"] for method in pool["methods"]]) == (
        "Pool",
        ["process_startup", "process_shutdown"],
    )


def test_what_else_answers_is_told(survey: dict[str, Any]) -> None:
    assert [(sink["pattern"], sink["name"]) for sink in survey["sinks"]] == [("/legacy", "catch_all")]
    assert survey["static_routes"] == [{"prefix": "/static/", "directory": "static", "fallback": None}]
    # Neither Falcon's own nor ours.
    assert [(handler["pattern"], handler["name"]) for handler in survey["error_handlers"]] == [
        ("ShopError", "handle_shop_error")
    ]


def test_what_a_typed_route_speaks_and_where_its_responder_is(tmp_path: Path) -> None:
    lines = [
        "import falconws",
        "from falconws.typed import Conversation, speaks",
        "from msgspec import Struct",
        'class Say(Struct, tag="say"): text: str',
        'class Chat1(Conversation[Say, Say]): subprotocol = "chat.v1"',
        'class Chat2(Conversation[Say, Say]): subprotocol = "chat.v2"',
        "class Room:",
        "    @speaks(Chat2, Chat1)",
        "    async def on_websocket(self, req, chat): await chat.accept()",
        "class Echo:",
        "    async def on_websocket(self, req, ws): await ws.accept()",
        "app = falconws.App()",
        'app.add_route("/room", Room())',
        'app.add_route("/echo", Echo())',
    ]
    (tmp_path / "rooms.py").write_text("\n".join(lines))
    (tmp_path / "pyproject.toml").write_text('[tool.falconws]\napp = "rooms:app"\n')
    room, echo = json.loads(inspect(tmp_path, "--json").stdout)["routes"]
    assert (room["speaks"], echo["speaks"]) == (["Chat2", "Chat1"], [])
    assert room["resource"]["methods"][0]["source"] == "rooms.py:8"
    assert echo["resource"]["methods"][0]["source"] == "rooms.py:11"
    table = inspect(tmp_path).stdout
    assert "/room  WEBSOCKET  Room  speaks Chat2, Chat1  rooms.py:7" in table
    assert "Room  speaks Chat2, Chat1  rooms.py:7" in inspect(tmp_path, "--tree").stdout


def test_media_handlers_and_options_are_told(survey: dict[str, Any]) -> None:
    handlers = survey["media_handlers"]
    assert handlers["websocket"]["TEXT"] == "shop.app.Upper"
    assert handlers["websocket"]["BINARY"].endswith("MessagePackHandlerWS")
    assert "text/csv" in handlers["response"]
    assert "text/csv" not in handlers["request"]
    assert survey["ws_options"]["allowed_origins"] == ["https://example.com"]
    assert survey["ws_options"]["disconnect_grace_s"] == 10.0


def test_only_what_differs_from_the_defaults_is_shown_unless_all_is_asked_for(shop: Path) -> None:
    for words in ((), ("--tree",)):
        shown, everything = inspect(shop, *words).stdout, inspect(shop, "--all", *words).stdout
        assert "edia handlers that differ from the defaults" in shown
        assert "ws_options that differ from the defaults" in shown
        for name in ("allowed_origins", "shop.app.Upper", "text/csv"):
            assert name in shown
            assert name in everything
        for name in ("disconnect_grace_s", "MessagePackHandlerWS", "multipart/form-data"):
            assert name not in shown
            assert name in everything


def test_a_table_and_a_tree_say_the_same(shop: Path, survey: dict[str, Any]) -> None:
    columns, tree = inspect(shop).stdout, inspect(shop, "--tree").stdout
    for shown in (columns, tree):
        for route in survey["routes"]:
            assert route["path"] in shown
            assert route["resource"]["source"] in shown
        for name in ("process_request_ws", "process_startup", "/legacy", "/static/", "ShopError", "shop.app.Upper"):
            assert name in shown
    assert "GET, POST, WEBSOCKET  Orders" in columns
    assert "HTTP response text/csv" in columns
    responder = survey["routes"][0]["resource"]["methods"][2]
    assert f"│   │   └── WEBSOCKET  on_websocket  {responder['source']}" in tree
    assert all(line == line.rstrip() for shown in (columns, tree) for line in shown.splitlines())


def test_an_app_of_falcons_own_is_looked_into_too(shop: Path) -> None:
    done = inspect(shop, "shop.app:plain")
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("shop.app:plain is a shop.app.Odd\n")
    assert "Routes" not in done.stdout


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["shop.app:wrapped"], "not an ASGI app of Falcon"),
        (["shop.app:gone"], 'has no attribute "gone"'),
        (["gone:app"], 'Cannot find the module "gone"'),
        (["leaving:app"], 'The import of "leaving:app" called sys.exit(3).'),
    ],
)
def test_what_is_no_app_is_one_line(shop: Path, words: list[str], problem: str) -> None:
    (shop / "leaving.py").write_text("import sys\n\nsys.exit(3)\n")
    done = inspect(shop, *words)
    assert done.returncode == 1
    assert done.stdout == ""
    assert problem in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_outside_of_a_project_one_line_says_so(tmp_path: Path) -> None:
    done = inspect(tmp_path)
    assert done.returncode == 1
    assert "falconws new NAME" in done.stderr
