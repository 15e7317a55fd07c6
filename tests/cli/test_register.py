import ast
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from falconws_cli.register import (
    Outcome,
    Registration,
    append_functions,
    media_handler_in,
    register_media_handler,
    register_middleware,
    register_route,
    routes_in,
)
from falconws_cli.syntax import Import

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


def route(text: str) -> Registration:
    return register_route(text, "demo", template="/chat", resource=RESOURCE)


def middleware(text: str) -> Registration:
    return register_middleware(text, "demo", middleware=MIDDLEWARE)


def handler(text: str) -> Registration:
    return register_media_handler(text, "demo", payload="BINARY", handler=HANDLER)


def added_lines(before: str, after: str) -> list[str]:
    """The lines that are new in *after*; fails when a line of *before* is gone or has moved."""
    rest = iter(re.split(r"\r\n|\r|\n", after))
    added = []
    for line in re.split(r"\r\n|\r|\n", before):
        for candidate in rest:
            if candidate == line:
                break
            added.append(candidate)
        else:
            pytest.fail(f"the line {line!r} is gone")
    return added + list(rest)


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
            [IMPORT_LINE, "", '\tapp.add_route("/chat", ChatResource())'],
        ),
    ],
    ids=lambda value: value if isinstance(value, str) and len(value) < 40 and "\n" not in value else "",
)
def test_a_route_is_added_to_what_people_write(description: str, before: str, added: list[str]) -> None:
    registration = route(before)
    assert registration.outcome is Outcome.REGISTERED, registration.reason
    assert added_lines(before, registration.text) == added
    assert route(registration.text).outcome is Outcome.ALREADY
    assert route(registration.text).text == registration.text


@pytest.mark.parametrize(
    ("before", "reason"),
    [
        ("", "no function add_routes"),
        ("def add_routes(app:\n", "not valid Python in line 1"),
        ("x = '\0'", "not valid Python"),
        ("def add_routes():\n    pass\n", "no function add_routes"),
        ("def add_routes(app): app.add_route('/a', 1)\n", "more than one statement"),
        ("def add_routes(app):\n    return\n", "returns before"),
        (
            "def one(app):\n    app.add_route('/a', 1)\n\ndef two(app):\n    app.add_route('/b', 2)\n",
            "several functions",
        ),
        ("def add_routes(apps):\n    for app in apps:\n        app.add_route('/a', 1)\n", "without a lasting name"),
        (
            "class ChatResource: ...\n\ndef add_routes(app):\n    app.add_route('/a', 1)\n",
            "already means something else",
        ),
    ],
)
def test_without_a_safe_place_nothing_changes_and_the_lines_are_named(before: str, reason: str) -> None:
    registration = route(before)
    assert registration.outcome is Outcome.CANNOT
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
    ],
)
def test_a_middleware_is_added_behind_the_app(before: str, added: str) -> None:
    registration = middleware(before)
    assert registration.outcome is Outcome.REGISTERED, registration.reason
    assert added in added_lines(before, registration.text)
    assert middleware(registration.text).outcome is Outcome.ALREADY


def test_middleware_keeps_the_order_in_which_it_was_added() -> None:
    once = middleware(APP).text
    second = register_middleware(once, "demo", middleware=Import("demo.middleware.log", "LogMiddleware")).text
    lines = [line.strip() for line in second.splitlines() if "add_middleware" in line]
    assert lines == ["app.add_middleware(AuthMiddleware())", "app.add_middleware(LogMiddleware())"]


def test_middleware_in_the_constructor_counts_as_registered() -> None:
    text = APP.replace("App()", "App(middleware=[AuthMiddleware()])").replace(
        "from demo.routes", "from demo.middleware.auth import AuthMiddleware\nfrom demo.routes"
    )
    assert middleware(text).outcome is Outcome.ALREADY


@pytest.mark.parametrize("text", ["", "app = make()\n", "def create_app():\n    return falconws.App()\n"])
def test_without_an_app_with_a_name_nothing_is_registered(text: str) -> None:
    for registration in (middleware(text), handler(text)):
        assert registration.outcome is Outcome.CANNOT
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
    assert registration.outcome is Outcome.REGISTERED, registration.reason
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
    assert handler(registration.text).outcome is Outcome.ALREADY


def test_routes_in_lists_the_literal_templates() -> None:
    assert routes_in(ROUTES + "    app.add_route(PREFIX + '/x', X())\n") == {"/echo": "EchoResource()"}
    assert routes_in("def (") == {}


def test_functions_are_appended_once() -> None:
    code = 'TOKEN = "x"\n\n\ndef helper() -> Iterator[str]:\n    yield TOKEN\n'
    imports = [Import("collections.abc", "Iterator")]
    before = "import pytest\n\n\ndef test() -> None: ...\n"

    def append(text: str) -> Registration:
        return append_functions(text, "tests", first_party="demo", what="x", imports=imports, code=code)

    registration = append(before)
    assert registration.outcome is Outcome.REGISTERED
    assert registration.text == f"from collections.abc import Iterator\n\n{before}\n\n{code}"
    assert append(registration.text).outcome is Outcome.ALREADY
    assert append("def helper(): ...\n").outcome is Outcome.CANNOT


# Whatever valid Python surrounds it

_snippets = st.sampled_from(
    [
        "import os",
        "import zlib as z",
        "from typing import (\n    Any,\n)",
        "from demo.resources.about import AboutResource",
        "from demo.resources.zoo import ZooResource  # last",
        "from . import settings",
        "# a comment",
        "",
        "x = 1; y = 2",
        's = """\napp.add_route("/chat", ChatResource())\n"""',
        "def other(app):\n    return app",
        "class Meta:\n    def add(self, app):\n        pass",
        "@decorate\ndef decorated(): ...",
        "if x:\n    import json\nelse:\n    json = None",
        "\x0c",
        "s = 'ü\u2028'",
        "async def later(app):\n\n    # why\n    await app",
        "try:\n    import fast\nexcept ImportError:\n    fast = None",
    ]
)
_bodies = st.lists(
    st.sampled_from(
        [
            'app.add_route("/a", A())',
            'app.add_route("/b", B())  # b',
            "app.add_route(\n        '/c',\n        C(),\n    )",
            "# about",
            "x = 1; app.add_route('/d', D())",
            "if x:\n        app.add_route('/e', E())",
            "for path in x:\n        app.add_route(path, F())",
            'text = """\n  app.add_route("/chat", None)\n"""',
            "with lock:\n        pass",
            "",
        ]
    ),
    max_size=5,
)
_newlines = st.sampled_from(["\n", "\r\n", "\r"])


@st.composite
def modules(draw: st.DrawFn) -> str:
    head = draw(st.lists(_snippets, max_size=5))
    body = "".join(f"    {line}\n" if line else "\n" for line in ["pass", *draw(_bodies)])
    tail = draw(st.lists(_snippets, max_size=3))
    docstring = draw(st.sampled_from(["", '"""Doc."""\n', '#!/usr/bin/env python\n"""Doc\n\nmore."""\n']))
    text = docstring + "\n".join([*head, f"def add_routes(app):\n{body}", *tail])
    if draw(st.booleans()):
        text = text.rstrip("\n")
    text = text.replace("\n", draw(_newlines))
    ast.parse(text)
    return text


@given(modules())
def test_an_edit_changes_nothing_else_and_is_idempotent(text: str) -> None:
    registration = route(text)
    if registration.outcome is Outcome.CANNOT:
        assert registration.text == text
        assert registration.reason
        return
    assert registration.outcome is Outcome.REGISTERED
    # Every line is still there, byte for byte and in order; what is new is the two lines and blank ones.
    added = [line for line in added_lines(text, registration.text) if line.strip()]
    assert [line.strip() for line in added] == [IMPORT_LINE, 'app.add_route("/chat", ChatResource())']
    before, after = ast.parse(text), ast.parse(registration.text)
    assert len(list(ast.walk(after))) > len(list(ast.walk(before)))
    for removed in (IMPORT_LINE, 'app.add_route("/chat", ChatResource())'):
        _remove_one(after, ast.dump(ast.parse(removed).body[0]))
    assert ast.dump(after) == ast.dump(before)
    again = route(registration.text)
    assert (again.outcome, again.text) == (Outcome.ALREADY, registration.text)


def _remove_one(tree: ast.Module, dump: str) -> None:
    for node in ast.walk(tree):
        for name in ("body", "orelse", "finalbody"):
            block = getattr(node, name, None)
            for statement in list(block) if isinstance(block, list) else []:
                if ast.dump(statement) == dump:
                    assert block is not None
                    block.remove(statement)
                    return
    pytest.fail("the statement is not there")
