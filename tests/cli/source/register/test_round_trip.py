"""In any valid Python, registering changes nothing else, and unregistering restores the text."""

import ast
import difflib
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from falconws_cli.source.python import Import
from falconws_cli.source.register.functions import FunctionsKind
from falconws_cli.source.register.media_handlers import MediaHandlerKind
from falconws_cli.source.register.middleware import MiddlewareKind
from falconws_cli.source.register.result import RegisterOutcome, RegisterResult, UnregisterOutcome, UnregisterResult
from falconws_cli.source.register.routes import RouteKind
from tests.cli.source.register.samples import APP_LINES, APPS, ROUTES, modules

RESOURCE = Import("demo.resources.chat", "ChatResource")
MIDDLEWARE = Import("demo.middleware.auth", "AuthMiddleware")
HANDLER = Import("demo.media.orders", "OrdersHandler")

_IMPORTS = [
    "from demo.resources.chat import ChatResource",
    "from demo.middleware.auth import AuthMiddleware as Auth",
    "from demo.media import orders",
]
_routes = st.lists(ROUTES, max_size=5).map(lambda lines: ["pass", *lines])
_apps = st.tuples(st.lists(APP_LINES, max_size=1), APPS, st.lists(APP_LINES, max_size=4)).map(
    lambda parts: ["pass", *parts[0], parts[1], *parts[2]]
)
_tests = st.lists(st.sampled_from(["yield 1", "", "# x"]), max_size=2).map(lambda lines: ["pass", *lines])
_imported = st.sampled_from(["", *_IMPORTS])


def check(text: str, register: Callable[[str], RegisterResult], plan_removal: Callable[..., UnregisterResult]) -> None:
    registration = register(text)
    if registration.outcome is RegisterOutcome.CANNOT:
        assert registration.text == text
        assert registration.reason
        return
    assert registration.outcome is RegisterOutcome.REGISTERED
    edited = registration.text
    # Only insertions, character by character.
    operations = {tag for tag, *_ in difflib.SequenceMatcher(None, text, edited, autojunk=False).get_opcodes()}
    assert operations <= {"equal", "insert"}
    assert len(list(ast.walk(_parsed(edited)))) > len(list(ast.walk(_parsed(text))))
    again = register(edited)
    assert (again.outcome, again.text) == (RegisterOutcome.ALREADY, edited)
    removal = plan_removal(edited, registration)
    assert (removal.outcome, removal.text) == (UnregisterOutcome.REMOVED, text), removal.reason


def _parsed(text: str) -> ast.Module:
    return ast.parse(text.removeprefix("\ufeff"))


@settings(max_examples=100, deadline=None)
@given(_imported, modules("def add_routes(app):", _routes))
def test_a_route(imported: str, text: str) -> None:
    arguments = {"template": "/chat", "resource": RESOURCE}
    check(
        _with_import(imported, text),
        lambda text: RouteKind(**arguments).register(text, "demo"),
        lambda text, made: RouteKind(**arguments).unregister(text, "demo", made.imports),
    )


@settings(max_examples=100, deadline=None)
@given(_imported, modules("def create_app(x):", _apps), st.sampled_from(["", "from_env"]))
def test_a_middleware(imported: str, text: str, factory: str) -> None:
    arguments = {"middleware": MIDDLEWARE, "factory": factory}
    check(
        _with_import(imported, text),
        lambda text: MiddlewareKind(**arguments).register(text, "demo"),
        lambda text, made: MiddlewareKind(**arguments).unregister(text, "demo", made.imports),
    )


@settings(max_examples=100, deadline=None)
@given(_imported, modules("def create_app(x):", _apps))
def test_a_media_handler(imported: str, text: str) -> None:
    arguments = {"payload": "BINARY", "handler": HANDLER}
    check(
        _with_import(imported, text),
        lambda text: MediaHandlerKind(**arguments).register(text, "demo"),
        lambda text, made: MediaHandlerKind(**arguments).unregister(text, "demo", made.imports),
    )


@settings(max_examples=60, deadline=None)
@given(modules("def test():", _tests))
def test_functions(text: str) -> None:
    arguments = {
        "first_party": "demo",
        "what": "a token",
        "imports": [Import("collections.abc", "Iterator"), Import("falconws.testing", "Client")],
        "code": 'TOKEN = "x"\n\n\n@fixture\ndef token() -> Iterator[Client]:\n    """One."""\n\n    yield TOKEN\n',
    }
    check(
        text,
        lambda text: FunctionsKind(**arguments).register(text, "tests"),
        lambda text, made: FunctionsKind(**arguments).unregister(text, "tests", made.imports),
    )


def _with_import(line: str, text: str) -> str:
    """The module with an import of what will be registered, where a user may have put it."""
    if not line:
        return text
    mark = "\ufeff" if text.startswith("\ufeff") else ""
    newline = "\r\n" if "\r\n" in text else "\r" if "\r" in text else "\n"
    return f"{mark}{line}{newline}{text.removeprefix(mark)}"
