import ast

import pytest

from falconws_cli.source.python import Import
from falconws_cli.source.register.functions import FunctionsKind
from falconws_cli.source.register.media_handlers import MediaHandlerKind, media_handler_in
from falconws_cli.source.register.middleware import MiddlewareKind
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult
from falconws_cli.source.register.route_reader import routes_in
from falconws_cli.source.register.routes import RouteKind
from tests.cli.source.register.samples import added_lines

RESOURCE = Import("demo.resources.chat", "ChatResource")
MIDDLEWARE = Import("demo.middleware.auth", "AuthMiddleware")
HANDLER = Import("demo.media.orders", "OrdersHandler")

ROUTES = '''"""Routes."""

import falconws

from demo.resources.echo import EchoResource


def add_routes(app: falconws.App) -> None:
    app.add_route("/echo", EchoResource())
'''

APP = '''"""The app."""

import falconws

from demo.routes import add_routes


def create_app():
    app = falconws.App()
    add_routes(app)
    return app
'''


def route(text: str) -> RegisterResult:
    return RouteKind(template="/chat", resource=RESOURCE).register(text, "demo")


def middleware(text: str) -> RegisterResult:
    return MiddlewareKind(middleware=MIDDLEWARE).register(text, "demo")


def handler(text: str) -> RegisterResult:
    return MediaHandlerKind(payload="BINARY", handler=HANDLER).register(text, "demo")


LOOP = "def add_routes(app):\n    for template, resource in ROUTES:\n        app.add_route(template, resource)\n"

IMPORT_LINE = "from demo.resources.chat import ChatResource"


@pytest.mark.parametrize(
    ("description", "before", "added"),
    [
        ("generated", ROUTES, [IMPORT_LINE, '    app.add_route("/chat", ChatResource())']),
        (
            "another name for the app",
            ROUTES.replace("app", "api"),
            [IMPORT_LINE, '    api.add_route("/chat", ChatResource())'],
        ),
        (
            "a trailing comment",
            ROUTES.replace("EchoResource())", "EchoResource())  # keep"),
            [IMPORT_LINE, '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "a call over several lines",
            ROUTES.replace('("/echo", EchoResource())', '(\n        "/echo",\n        EchoResource(),\n    )'),
            [IMPORT_LINE, '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "a loop",
            ROUTES.replace(
                '    app.add_route("/echo", EchoResource())',
                "    for path, resource in ROUTES:\n        app.add_route(path, resource)",
            ),
            [IMPORT_LINE, '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "a condition",
            ROUTES.replace('    app.add_route("', '    if DEBUG:\n        app.add_route("'),
            [IMPORT_LINE, '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "two statements on one line",
            ROUTES.replace("EchoResource())", "EchoResource()); print(1)"),
            [IMPORT_LINE, '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "module level",
            'import falconws\n\napp = falconws.App()\napp.add_route("/echo", 1)\n',
            [IMPORT_LINE, "", 'app.add_route("/chat", ChatResource())'],
        ),
        (
            "no routes yet",
            "def add_routes(app):\n    pass\n",
            [IMPORT_LINE, "", '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "an alias",
            ROUTES.replace("\n\n\ndef", "\nfrom demo.resources.chat import ChatResource as Chat\n\n\ndef"),
            ['    app.add_route("/chat", Chat())'],
        ),
        (
            "a relative import",
            ROUTES.replace("\n\n\ndef", "\nfrom .resources.chat import ChatResource\n\n\ndef"),
            ['    app.add_route("/chat", ChatResource())'],
        ),
        (
            "tabs",
            "def add_routes(app):\n\tapp.add_route('/echo', 1)\n",
            [IMPORT_LINE, "", "\tapp.add_route('/chat', ChatResource())"],
        ),
        (
            "a method",
            'class Routes:\n    def add_routes(self, app):\n        """None yet."""\n',
            [IMPORT_LINE, "", '        app.add_route("/chat", ChatResource())'],
        ),
        (
            "a static method",
            "class Routes:\n    @staticmethod\n    def add_routes(api):\n        pass\n",
            [IMPORT_LINE, "", '        api.add_route("/chat", ChatResource())'],
        ),
        (
            "an app that is not the first parameter",
            "def add_routes(settings, api: falconws.App):\n    pass\n",
            [IMPORT_LINE, "", '    api.add_route("/chat", ChatResource())'],
        ),
        (
            "a return at the end",
            "def add_routes(app):\n    return\n",
            [IMPORT_LINE, "", '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "a list of pairs",
            "from . import a\n\nROUTES = [\n    ('/a', a.A()),  # a\n    # the end\n]\n\n\n" + LOOP,
            [IMPORT_LINE, "", "    ('/chat', ChatResource()),"],
        ),
        (
            "a tuple of classes",
            'ROUTES: tuple[Any, ...] = (\n    ("/a", A),\n)\n' + LOOP.replace("resource)", "resource())"),
            [IMPORT_LINE, "", '    ("/chat", ChatResource),'],
        ),
        (
            "a dict",
            'ROUTES = {\n    "/a": A(),\n}\n' + LOOP.replace("ROUTES", "ROUTES.items()"),
            [IMPORT_LINE, "", '    "/chat": ChatResource(),'],
        ),
        (
            "a list of pairs that is changed later",
            'ROUTES = []\nROUTES = [("/a", A())]\n' + LOOP,
            [IMPORT_LINE, "", '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "a list of pairs without room",
            "ROUTES = [('/a', ResourceA()), ('/b', ResourceB()), ('/c', ResourceC()), ('/d', ResourceD())]\n" + LOOP,
            [IMPORT_LINE, "", "    app.add_route('/chat', ChatResource())"],
        ),
        (
            "several functions and one that calls them",
            "def a(app):\n    app.add_route('/a', 1)\n\n\ndef b(app):\n    app.add_route('/b', 2)\n\n\n"
            "def add_routes(api):\n    a(api)\n    b(api)\n",
            [IMPORT_LINE, "", "    api.add_route('/chat', ChatResource())"],
        ),
        (
            "one module",
            APP.replace("    add_routes(app)\n", ""),
            [IMPORT_LINE, '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "a byte order mark",
            "\ufeff" + ROUTES,
            [IMPORT_LINE, '    app.add_route("/chat", ChatResource())'],
        ),
        (
            "a module that is imported",
            "import demo.resources.chat as chat\n\n\ndef add_routes(app):\n    pass\n",
            ['    app.add_route("/chat", chat.ChatResource())'],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 and "\n" not in value else "",
)
def test_a_route_is_added_to_what_people_write(description: str, before: str, added: list[str]) -> None:
    registration = route(before)
    assert registration.outcome is RegisterOutcome.REGISTERED, registration.reason
    assert added_lines(before, registration.text) == added
    assert route(registration.text).outcome is RegisterOutcome.ALREADY
    assert route(registration.text).text == registration.text


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("", "no function add_routes"),
        ("def add_routes(app:\n", "not valid Python on line 1"),
        ("x = '\0'", "not valid Python"),
        ("def add_routes():\n    pass\n", "no function add_routes"),
        ('def add_routes(app): app.add_route("/a", 1)\n', "more than one statement"),
        ("def add_routes(app):\n    raise NotImplementedError\n", "raises an exception before"),
        ('def add_routes(app):\n    app.add_route("/chat", Other())\n', "line 2 gives /chat to another resource"),
        (
            "def one(app):\n    app.add_route('/a', 1)\n\ndef two(app):\n    app.add_route('/b', 2)\n",
            "several functions",
        ),
        (
            "def add_routes(apps):\n    for app in apps:\n        app.add_route('/a', 1)\n",
            "to an object without a name",
        ),
        (
            'class ChatResource: ...\n\ndef add_routes(app):\n    app.add_route("/a", 1)\n',
            'it already defines "ChatResource" as something else',
        ),
        (
            "if TYPE_CHECKING:\n    from demo.resources.chat import ChatResource\n\ndef add_routes(app):\n    pass\n",
            'line 2 imports "ChatResource" inside a block, such as `if TYPE_CHECKING`',
        ),
        (
            "def f():\n    from demo.resources.chat import ChatResource\n\n"
            "ChatResource = 1\n\ndef add_routes(app):\n    pass\n",
            'it already defines "ChatResource" as something else',
        ),
        (
            "import falconws\n\ndef create_app():\n    return falconws.App()\n",
            "line 4 returns the app without giving it a name",
        ),
    ],
)
def test_without_a_safe_place_nothing_changes_and_the_lines_are_named(before: str, reason: str) -> None:
    registration = route(before)
    assert registration.outcome is RegisterOutcome.CANNOT
    assert reason in registration.reason
    assert registration.text == before
    assert registration.lines == (IMPORT_LINE, 'app.add_route("/chat", ChatResource())')


@pytest.mark.parametrize(
    ("before", "added"),
    [
        (APP, "    app.add_middleware(AuthMiddleware())"),
        (
            APP.replace("app = falconws.App()", "app: falconws.App = falconws.App(\n    )"),
            "    app.add_middleware(AuthMiddleware())",
        ),
        (
            APP.replace("falconws.App()", "App()").replace("app = ", "service = "),
            "    service.add_middleware(AuthMiddleware())",
        ),
        ("import falconws\n\napp = falconws.App()\n", "app.add_middleware(AuthMiddleware())"),
        (
            "from falconws import App as Api\n\nclass Mine(Api): ...\n\nservice = Mine()\n",
            "service.add_middleware(AuthMiddleware())",
        ),
        ("import falconws as fw\n\napp: fw.App = make()\n", "app.add_middleware(AuthMiddleware())"),
        (
            APP.replace("App()", "App(\n        middleware=[\n            Log(),\n        ],\n    )"),
            "            AuthMiddleware(),",
        ),
        (
            APP.replace(
                "app = falconws.App()\n    add_routes(app)\n    return app", "return falconws.App(middleware=[])"
            ),
            "    return falconws.App(middleware=[AuthMiddleware()])",
        ),
        (
            APP.replace("App()", "App(middleware=[Log()])").replace(
                "    add_routes", "    app.add_middleware(Last())\n    add_routes"
            ),
            "    app.add_middleware(AuthMiddleware())",
        ),
        (
            APP.replace("App()", "App(middleware=MIDDLEWARE)"),
            "    app.add_middleware(AuthMiddleware())",
        ),
        (
            "import falconws\n\nif x:\n    app = falconws.App()\nelse:\n    app = falconws.App(cors_enable=True)\n",
            "app.add_middleware(AuthMiddleware())",
        ),
        (
            "class Service:\n    def __init__(self):\n        self.app = falconws.App()\n",
            "        self.app.add_middleware(AuthMiddleware())",
        ),
    ],
)
def test_a_middleware_is_added_behind_the_app(before: str, added: str) -> None:
    registration = middleware(before)
    assert registration.outcome is RegisterOutcome.REGISTERED, registration.reason
    assert added in registration.text.splitlines()
    assert added not in before.splitlines()
    assert middleware(registration.text).outcome is RegisterOutcome.ALREADY


def test_a_list_without_a_trailing_comma_stays_without() -> None:
    before = LOOP.replace("ROUTES", "[\n        ['/a', A()],\n        ['/b', B()]  # b\n    ]")
    assert (
        route(before)
        .text.partition("in ")[2]
        .startswith("[\n        ['/a', A()],\n        ['/b', B()],  # b\n        ['/chat', ChatResource()]\n    ]:")
    )


def test_middleware_keeps_the_order_in_which_it_was_added() -> None:
    once = middleware(APP).text
    second = MiddlewareKind(middleware=Import("demo.middleware.log", "LogMiddleware")).register(once, "demo").text
    lines = [line.strip() for line in second.splitlines() if "add_middleware" in line]
    assert lines == ["app.add_middleware(AuthMiddleware())", "app.add_middleware(LogMiddleware())"]


def test_middleware_in_the_constructor_counts_as_registered() -> None:
    text = APP.replace("App()", "App(middleware=[AuthMiddleware()])").replace(
        "from demo.routes", "from demo.middleware.auth import AuthMiddleware\nfrom demo.routes"
    )
    assert middleware(text).outcome is RegisterOutcome.ALREADY


def test_an_annotation_does_not_register() -> None:
    text = "from demo.middleware.auth import AuthMiddleware\n\nsaved: AuthMiddleware | None = None\n\n\n" + APP
    assert "app.add_middleware(AuthMiddleware())" in middleware(text).text


def test_several_apps_are_not_for_us_to_choose_from() -> None:
    registration = middleware("public = falconws.App()\nprivate = falconws.App()\n")
    assert registration.outcome is RegisterOutcome.CANNOT
    assert registration.reason == "it creates several apps"


@pytest.mark.parametrize("text", ["", "app = make()\n", "def create_app():\n    return falconws.App()\n"])
def test_without_an_app_with_a_name_nothing_is_registered(text: str) -> None:
    for registration in (middleware(text), handler(text)):
        assert registration.outcome is RegisterOutcome.CANNOT
        assert registration.text == text


@pytest.mark.parametrize(
    ("imports", "expected"),
    [
        ("import falconws", "falconws.WebSocketPayloadType"),
        ("import falconws as fw", "fw.WebSocketPayloadType"),
        ("from falconws import App, WebSocketPayloadType as Kind", "Kind"),
        ("from falconws import App", "WebSocketPayloadType"),
    ],
)
def test_a_media_handler_names_the_payload_type_as_the_file_can(imports: str, expected: str) -> None:
    before = f"{imports}\n\napp = App()\n"
    registration = handler(before)
    assert registration.outcome is RegisterOutcome.REGISTERED, registration.reason
    assert f"app.ws_options.media_handlers[{expected}.BINARY] = OrdersHandler()" in registration.text
    assert media_handler_in(registration.text, "BINARY") == "OrdersHandler()"
    assert media_handler_in(registration.text, "TEXT") is None
    names = {node.id for node in ast.walk(ast.parse(registration.text)) if isinstance(node, ast.Name)}
    bound = {
        a.asname or a.name
        for n in ast.walk(ast.parse(registration.text))
        if isinstance(n, (ast.Import, ast.ImportFrom))
        for a in n.names
    }
    assert expected.split(".")[0] in names & bound
    assert handler(registration.text).outcome is RegisterOutcome.ALREADY


@pytest.mark.parametrize("own", ["", "from demo.routes import add_routes\n"])
def test_two_imports_at_one_place_come_in_the_order_of_their_sections(own: str) -> None:
    text = f"import os\n\n{own}\ndef create_app():\n    import falconws\n\n    app = falconws.App()\n    return app\n"
    registration = handler(text)
    assert registration.outcome is RegisterOutcome.REGISTERED, registration.reason
    lines = [line for line in registration.text.splitlines() if line.startswith(("import", "from"))]
    ours = ["from falconws import WebSocketPayloadType", "from demo.media.orders import OrdersHandler"]
    assert lines == ["import os", *ours, *own.splitlines()]


def test_another_handler_for_the_payload_is_not_replaced() -> None:
    text = "import falconws\n\napp = falconws.App()\napp.ws_options.media_handlers = {falconws.X.BINARY: Other()}\n"
    assert media_handler_in(text, "BINARY") == "Other()"
    assert handler(text).reason == "line 4 sets another handler for BINARY"


def test_routes_in_lists_the_literal_templates() -> None:
    assert routes_in(ROUTES + "    app.add_route(PREFIX + '/x', X())\n") == {"/echo": "EchoResource()"}
    assert routes_in("def (") == {}
    assert routes_in('ROUTES = [("/a", A()), ("/b", B())]\n' + LOOP) == {"/a": "A()", "/b": "B()"}


def test_functions_are_appended_once() -> None:
    code = 'TOKEN = "x"\n\n\ndef helper() -> Iterator[str]:\n    yield TOKEN\n'
    imports = [Import("collections.abc", "Iterator")]
    before = "import pytest\n\n\ndef test() -> None: ...\n"

    def append(text: str) -> RegisterResult:
        return FunctionsKind(first_party="demo", what="x", imports=imports, code=code).register(text, "tests")

    registration = append(before)
    assert registration.outcome is RegisterOutcome.REGISTERED
    assert registration.text == f"from collections.abc import Iterator\n\n{before}\n\n{code}"
    assert append(registration.text).outcome is RegisterOutcome.ALREADY
    assert append("def helper(): ...\n").outcome is RegisterOutcome.CANNOT
