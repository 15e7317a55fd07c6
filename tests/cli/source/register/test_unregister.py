"""Taking registrations back from what a user has made of the module since."""

import pytest

from falconws_cli.source.python import Import
from falconws_cli.source.register.functions import FunctionsKind
from falconws_cli.source.register.media_handlers import MediaHandlerKind
from falconws_cli.source.register.middleware import MiddlewareKind
from falconws_cli.source.register.result import UnregisterOutcome, UnregisterResult
from falconws_cli.source.register.routes import RouteKind


def route(text: str) -> UnregisterResult:
    return RouteKind(template="/chat", resource=Import("demo.resources.chat", "ChatResource")).unregister(text, "demo")


def middleware(text: str) -> UnregisterResult:
    return MiddlewareKind(middleware=Import("demo.middleware.auth", "AuthMiddleware")).unregister(text, "demo")


def handler(text: str) -> UnregisterResult:
    return MediaHandlerKind(payload="BINARY", handler=Import("demo.media.orders", "OrdersHandler")).unregister(
        text, "demo"
    )


HEAD = "from demo.resources.chat import ChatResource\n"


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param(
            f'{HEAD}\n\ndef add_routes(app):\n    app.add_route("/rooms", ChatResource(1))  # mine\n    pass\n',
            "\ndef add_routes(app):\n    pass\n",
            id="another template, arguments, a comment",
        ),
        pytest.param(
            f'{HEAD}\ndef add_routes(app):\n    app.add_route("/chat", ChatResource())\n',
            "def add_routes(app):\n    pass\n",
            id="the only statement",
        ),
        pytest.param(
            f"{HEAD}\ndef add_routes(app):\n    # the chat\n"
            '    x = 1; app.add_route(uri_template="/chat", resource=ChatResource())\n',
            "def add_routes(app):\n    # the chat\n    x = 1\n",
            id="two statements on a line",
        ),
        pytest.param(
            f'{HEAD}\ndef add_routes(app): app.add_route("/chat", ChatResource())\n',
            "def add_routes(app): pass\n",
            id="a function on one line",
        ),
        pytest.param(
            "import os\n\nfrom demo.resources.chat import ChatResource as Chat\n\nx = 1\n\nif x:\n"
            '    app.add_route("/chat", Chat())\n    y = 2\n',
            "import os\n\nx = 1\n\nif x:\n    y = 2\n",
            id="an alias, a section of its own, a condition",
        ),
        pytest.param(
            "from demo.resources.chat import ChatResource, Room\n\n"
            "ROUTES = [('/chat', ChatResource()), ('/room', Room())]\n"
            "for template, resource in ROUTES:\n    app.add_route(template, resource)\n",
            "from demo.resources.chat import Room\n\nROUTES = [('/room', Room())]\n"
            "for template, resource in ROUTES:\n    app.add_route(template, resource)\n",
            id="a list of pairs, an import of two",
        ),
        pytest.param(
            "from demo.resources.chat import (\n    ChatResource,  # chat\n    Room,\n)\n\n"
            'for t, r in (\n    ("/room", Room),\n    ("/chat", ChatResource)\n):\n    app.add_route(t, r())\n',
            "from demo.resources.chat import (\n    Room,\n)\n\n"
            'for t, r in (\n    ("/room", Room),\n):\n    app.add_route(t, r())\n',
            id="one on each line",
        ),
        pytest.param(
            'from demo.resources import chat\n\napp.add_route("/chat", chat.ChatResource())\napp.add_route("/x", X())',
            'app.add_route("/x", X())',
            id="the module is imported",
        ),
        pytest.param(f"{HEAD}x = 1\n", "x = 1\n", id="an import without a route"),
    ],
)
def test_a_route_goes_with_what_only_it_needs(before: str, after: str) -> None:
    removal = route(before)
    assert (removal.outcome, removal.text) == (UnregisterOutcome.REMOVED, after), removal.reason
    assert removal.lines == ()
    assert route(after).outcome is UnregisterOutcome.ABSENT


def test_what_still_uses_the_resource_is_named() -> None:
    text = f'{HEAD}\napp.add_route("/chat", ChatResource())\nother = ChatResource("/other")\n'
    removal = route(text)
    assert removal.outcome is UnregisterOutcome.REMOVED
    assert removal.text == f'{HEAD}\nother = ChatResource("/other")\n'
    assert removal.lines == ('other = ChatResource("/other")',)
    assert removal.reason == "ChatResource is still used"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        (
            f"{HEAD}for resource in [ChatResource()]:\n    app.add_route(x, resource)\n",
            ("for resource in [ChatResource()]:",),
        ),
        ("def (", ()),
    ],
)
def test_what_cannot_be_taken_back_stays(text: str, lines: tuple[str, ...]) -> None:
    removal = route(text)
    assert removal.outcome is UnregisterOutcome.CANNOT
    assert removal.text == text
    assert removal.lines == lines
    assert removal.reason


def test_two_templates_of_one_resource_are_told_apart() -> None:
    text = f'{HEAD}\napp.add_route("/a", ChatResource())\napp.add_route("/chat", ChatResource())\n'
    removal = route(text)
    assert removal.text == f'{HEAD}\napp.add_route("/a", ChatResource())\n'
    assert removal.lines == ('app.add_route("/a", ChatResource())',)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("app.add_middleware(AuthMiddleware.from_env())\nx = 1\n", "x = 1\n"),
        ("app.add_middleware([Log(), AuthMiddleware(1)])\n", "app.add_middleware([Log()])\n"),
        ("app.add_middleware([AuthMiddleware()])\n", ""),
        ("app = App(middleware=[AuthMiddleware(), Log()])\n", "app = App(middleware=[Log()])\n"),
        (
            "app = App(\n    middleware=[\n        AuthMiddleware(),\n    ]\n)\n",
            "app = App(\n    middleware=[\n    ]\n)\n",
        ),
    ],
)
def test_a_middleware_goes_wherever_it_was_put(before: str, after: str) -> None:
    removal = middleware(f"from demo.middleware.auth import AuthMiddleware\n\n{before}")
    assert (removal.outcome, removal.text) == (UnregisterOutcome.REMOVED, after)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("(('/chat', ChatResource()), ('/a', A()))", "(('/a', A()),)"),
        ("(('/a', A()), ('/chat', ChatResource()))", "(('/a', A()),)"),
        ("(('/a', A()), ('/chat', ChatResource()),)", "(('/a', A()),)"),
        ("(('/chat', ChatResource()), ('/a', A()),)", "(('/a', A()),)"),
        ("(('/chat', ChatResource()),)", "()"),
        ("[(('/a', A())), (('/chat', ChatResource()))]", "[(('/a', A()))]"),
        ("[\n    ('/a', A()),\n    ('/chat', ChatResource())  # last\n]", "[\n    ('/a', A())\n]"),
        ("[\n    ('/chat', ChatResource()), ('/a', A()),\n]", "[\n    ('/a', A()),\n]"),
        ("{'/chat': ChatResource(), '/a': A()}.items()", "{'/a': A()}.items()"),
    ],
)
def test_a_pair_goes_with_its_comma(before: str, after: str) -> None:
    loop = "for t, r in {}:\n    app.add_route(t, r)\n"
    removal = route(HEAD + loop.format(before))
    assert (removal.outcome, removal.text) == (UnregisterOutcome.REMOVED, loop.format(after))


def test_a_middleware_that_has_a_name_stays() -> None:
    text = "from demo.middleware.auth import AuthMiddleware\n\nauth = AuthMiddleware()\napp = App(middleware=auth)\n"
    removal = middleware(text)
    assert removal.outcome is UnregisterOutcome.CANNOT
    assert (removal.text, removal.lines) == (text, ("auth = AuthMiddleware()",))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        (
            "from falconws import App, WebSocketPayloadType\n\n"
            "app.ws_options.media_handlers[WebSocketPayloadType.BINARY] = OrdersHandler(1)\n",
            "from falconws import App\n\n",
        ),
        (
            "import falconws\n\napp.ws_options.media_handlers = {\n    falconws.WebSocketPayloadType.TEXT: Text(),\n"
            "    falconws.WebSocketPayloadType.BINARY: OrdersHandler(),\n}\n",
            "import falconws\n\n"
            "app.ws_options.media_handlers = {\n    falconws.WebSocketPayloadType.TEXT: Text(),\n}\n",
        ),
    ],
)
def test_a_media_handler_goes_with_its_payload_type(before: str, after: str) -> None:
    removal = handler(f"from demo.media.orders import OrdersHandler\n{before}")
    assert (removal.outcome, removal.text) == (UnregisterOutcome.REMOVED, after)


def test_a_handler_for_the_other_payload_stays() -> None:
    text = (
        "from demo.media.orders import OrdersHandler\nimport falconws\n"
        "app.ws_options.media_handlers[falconws.WebSocketPayloadType.TEXT] = OrdersHandler()\n"
    )
    assert handler(text).outcome is UnregisterOutcome.CANNOT


FIXTURE = 'TOKEN = "x"\n\n\n@pytest.fixture\ndef token() -> Iterator[str]:\n    yield TOKEN\n'


def functions(text: str) -> UnregisterResult:
    return FunctionsKind(
        first_party="demo",
        what="a token",
        imports=[Import("collections.abc", "Iterator")],
        code=FIXTURE,
        needs=["pytest"],
    ).unregister(text, "tests")


def test_functions_go_from_between_others() -> None:
    text = f"from collections.abc import Iterator\n\nimport pytest\n\n\n{FIXTURE}\n\ndef later(): ...\n"
    removal = functions(text)
    assert (removal.outcome, removal.text) == (UnregisterOutcome.REMOVED, "import pytest\n\n\ndef later(): ...\n")
    assert functions(removal.text).outcome is UnregisterOutcome.ABSENT


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (FIXTURE.replace("yield", "yield 1 +"), '"token" was edited'),
        (f"{FIXTURE}\n\nprint(TOKEN)\n", "other code uses it"),
        ("def (", "not valid Python"),
    ],
)
def test_functions_that_were_edited_or_are_used_stay(text: str, reason: str) -> None:
    removal = functions(text)
    assert removal.outcome is UnregisterOutcome.CANNOT
    assert removal.text == text
    assert reason in removal.reason
