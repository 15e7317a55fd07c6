"""Every combination that the templates offer: generated, checked, tested, served, and spoken to."""

import itertools
import json
import re
from pathlib import Path
from urllib.error import HTTPError

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from falconws_cli.generators.media_handler import CODECS, Payload
from falconws_cli.generators.middleware import Kind
from falconws_cli.generators.resource import TYPED, Pattern
from falconws_cli.templating.templates import find_root
from tests.generated.workshop import (
    START_S,
    assert_formatted_and_linted,
    assert_tests_pass,
    assert_typed,
    falconws,
    get,
    new_project,
    served,
)

ROUTES = {
    "plain": (None, None),
    "typed": (
        "{room_id}/{number:int}/{key:uuid}/{share:float}/{when:dt}/{rest:path}",
        "lobby/7/6f1dbe2e-5cc4-4b0e-9a11-3c1f7e2a9d10/1.5/2030-01-31T12:00:00Z/a/b",
    ),
}
WEBSOCKET_PATTERNS = [pattern for pattern in Pattern if pattern is not Pattern.HTTP]
RESOURCES = list(itertools.product(WEBSOCKET_PATTERNS, (None, "wamp"), (True, False), ROUTES))

# pytest's default of two minutes is for tests, not for whole projects under mypy.
pytestmark = pytest.mark.timeout(400)


def resource_name(pattern: Pattern, subprotocol: str | None, http: bool, route: str) -> str:
    return "-".join([pattern.value, subprotocol or "any", "http" if http else "ws", route])


def add_every_resource(root: Path) -> dict[str, tuple[Pattern, str | None, bool]]:
    """Add each combination of a resource's options; return what answers on which path."""
    paths = {}
    for pattern, subprotocol, http, route in RESOURCES:
        name = resource_name(pattern, subprotocol, http, route)
        template, example = ROUTES[route]
        options = ["--pattern", pattern.value, "--http" if http else "--no-http"]
        if subprotocol:
            options += ["--subprotocol", subprotocol]
        path = f"/{name}"
        if template:
            options += ["--route", f"/{name}/{template}"]
            path = f"/{name}/{example}"
        falconws(root, "add-resource", name, *options)
        paths[path] = (pattern, subprotocol, http)
    return paths


@pytest.mark.slow
def test_each_resource_is_clean_tested_served_and_answers_a_real_client(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    paths = add_every_resource(root)
    assert len(paths) == len(RESOURCES) == 48
    assert_formatted_and_linted(root)
    assert_typed(root)
    assert_tests_pass(root, expected=11 + 2 * len(paths))
    with served(root) as address:
        for path, (pattern, subprotocol, http) in paths.items():
            speak(address, path, pattern, subprotocol)
            if pattern is Pattern.ROOM:
                with pytest.raises(HTTPError) as missing:
                    get(address, path)
                with missing.value as response:
                    assert response.code == 404
            elif http:
                status, body = get(address, f"{path}?text=two%20words")
                assert (status, body) in {
                    Pattern.ECHO: [(200, "two words")],
                    Pattern.REQUEST_RESPONSE: [(200, {"words": 2})],
                    Pattern.DUPLEX: [(200, {"connections": 0}), (200, {"connections": 1})],
                    Pattern.BLANK: [(204, "")],
                    Pattern.FEED: [(200, body)],
                }[pattern]


@pytest.mark.slow
def test_each_typed_resource_is_clean_tested_served_and_answers_a_real_client(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    paths = {}
    for pattern, subprotocol, http, route in itertools.product(TYPED, (None, "wamp"), (True, False), ROUTES):
        name = resource_name(pattern, subprotocol, http, route)
        template, example = ROUTES[route]
        options = ["--pattern", pattern.value, "--typed", "--http" if http else "--no-http"]
        options += ["--subprotocol", subprotocol] if subprotocol else []
        options += ["--route", f"/{name}/{template}"] if template else []
        falconws(root, "add-resource", name, *options)
        paths[f"/{name}/{example}" if template else f"/{name}"] = (pattern, subprotocol)
    falconws(root, "add-resource", "no page", "--pattern", "room", "--typed", "--no-page")
    assert_formatted_and_linted(root)
    assert_typed(root)
    assert_tests_pass(root, expected=11 + 3 * len(paths))
    with served(root) as address:
        for path, (pattern, subprotocol) in paths.items():
            query = "?room=lobby&name=ada" if pattern is Pattern.ROOM else ""
            offered = [Subprotocol(subprotocol)] if subprotocol else None
            with connect(f"ws://{address}{path}{query}", subprotocols=offered) as ws:
                assert ws.subprotocol == subprotocol
                converse_typed(ws, pattern)


def converse_typed(ws: ClientConnection, pattern: Pattern) -> None:
    def receive() -> dict[str, object]:
        message: dict[str, object] = json.loads(ws.recv(timeout=START_S))
        return message

    if pattern is Pattern.REQUEST_RESPONSE:
        ws.send('{"type": "count_words", "text": "two words", "id": "a"}')
        assert receive() == {"type": "word_count", "words": 2, "id": "a"}
    elif pattern is Pattern.FEED:
        assert receive()["type"] == "tick"
    elif pattern is Pattern.DUPLEX:
        ws.send('{"type": "note", "text": "hello"}')
        assert receive() == {"type": "received", "text": "hello"}
    else:
        ws.send('{"type": "say", "text": "hello"}')
        while (message := receive())["type"] != "said":
            pass
        assert (message["name"], message["text"]) == ("ada", "hello")


def test_the_longest_names_of_typed_resources_are_still_formatted(tmp_path: Path) -> None:
    root = new_project(tmp_path, "p" + "q" * 39)
    for (number, pattern), route in itertools.product(enumerate(TYPED), ("short", "a" * 60, "b" * 200)):
        letter = "pqrs"[number] + route[0]
        options = ["--pattern", pattern.value, "--typed", "--route", f"/{letter}{route}/{{x:uuid}}"]
        falconws(root, "add-resource", letter * 20, *options)
        falconws(root, "add-resource", letter, "--pattern", pattern.value, "--typed")
    assert_formatted_and_linted(root)


def speak(
    address: str, path: str, pattern: Pattern, subprotocol: str | None, headers: dict[str, str] | None = None
) -> None:
    """Hold the conversation of *pattern* as a real client."""
    url = f"ws://{address}{path}"
    if pattern is Pattern.ROOM:
        url += "?room=lobby&name=ada"
    if subprotocol:
        with pytest.raises(InvalidStatus) as refused, connect(url, additional_headers=headers):
            pass
        assert refused.value.response.status_code == 400
    offered = [Subprotocol("other"), Subprotocol(subprotocol)] if subprotocol else None
    with connect(url, subprotocols=offered, additional_headers=headers) as ws:
        assert ws.subprotocol == subprotocol
        converse(ws, pattern)


def converse(ws: ClientConnection, pattern: Pattern) -> None:
    if pattern is Pattern.ECHO:
        ws.send("hello")
        assert ws.recv(timeout=START_S) == "hello"
    elif pattern is Pattern.REQUEST_RESPONSE:
        ws.send(json.dumps({"id": 1, "text": "two words"}))
        assert json.loads(ws.recv(timeout=START_S)) == {"id": 1, "words": 2}
        ws.send("not JSON")
        assert "error" in json.loads(ws.recv(timeout=START_S))
    elif pattern is Pattern.FEED:
        assert "time" in json.loads(ws.recv(timeout=START_S))
    elif pattern is Pattern.DUPLEX:
        ws.send("hello")
        assert json.loads(ws.recv(timeout=START_S)) == {"received": "hello"}
    elif pattern is Pattern.ROOM:
        ws.send(json.dumps({"say": "hello"}))
        events = [json.loads(ws.recv(timeout=START_S))]
        assert events[0]["type"] == "welcome"
        # What others have said before comes first.
        while [event["type"] for event in events[-2:]] != ["joined", "message"]:
            events.append(json.loads(ws.recv(timeout=START_S)))
        assert events[-1]["text"] == "hello"
    else:
        ws.send("hello")
        ws.ping().wait(START_S)


@pytest.mark.parametrize("kind", Kind)
def test_each_middleware_is_clean_tested_and_served(tmp_path: Path, kind: Kind) -> None:
    root = new_project(tmp_path)
    falconws(root, "add-middleware", "gate keeper", "--kind", kind.value)
    falconws(root, "add-resource", "room", "--pattern", "duplex")
    assert_formatted_and_linted(root)
    assert_tests_pass(root, expected=11 + 2 + 3)
    auth = kind is Kind.TOKEN_AUTH
    headers = {"Authorization": "Bearer second"} if auth else None
    with served(root, {"DEMO_GATE_KEEPER_TOKENS": "ada:first,ben:second"} if auth else None) as address:
        assert get(address, "/healthz")[0] == 200
        assert get(address, "/echo?text=x", headers) == (200, "x")
        speak(address, "/room", Pattern.DUPLEX, None, headers)
        if auth:
            with pytest.raises(InvalidStatus) as refused, connect(f"ws://{address}/room"):
                pass
            assert refused.value.response.status_code == 401
            assert refused.value.response.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize(
    "kind",
    [
        Kind.BLANK,
        Kind.LOGGING,
        Kind.TOKEN_AUTH,
    ],
)
def test_each_middleware_is_typed(tmp_path: Path, kind: Kind) -> None:
    root = new_project(tmp_path)
    falconws(root, "add-middleware", "gate keeper", "--kind", kind.value)
    assert_typed(root)


def test_all_middleware_works_together_in_any_order(tmp_path: Path) -> None:
    # Each kind before and after each other kind.
    for number, order in enumerate((list(Kind), list(reversed(Kind)))):
        folder = tmp_path / str(number)
        folder.mkdir()
        root = new_project(folder)
        for kind in order:
            falconws(root, "add-middleware", f"my {kind.value}", "--kind", kind.value)
        assert_formatted_and_linted(root)
        assert_tests_pass(root, expected=11 + 3 * 2)


@pytest.mark.slow
def test_each_media_handler_is_clean_and_tested_with_every_resource(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    for pattern in Pattern:
        falconws(root, "add-resource", f"a {pattern.value}", "--pattern", pattern.value)
    app = root / "demo" / "app.py"
    without_handlers = app.read_text()
    texts = [codec for codec, facts in CODECS.items() if Payload.TEXT in facts.payloads]
    binaries = [codec for codec, facts in CODECS.items() if Payload.BINARY in facts.payloads]
    assert (len(texts), len(binaries)) == (5, 8)
    kept: set[str] = set()
    for text, binary in zip(itertools.cycle(texts), binaries, strict=False):
        # An app has one handler for each kind of message: the next pair takes the place of this one.
        app.write_text(without_handlers)
        falconws(root, "add-media-handler", f"{text.value} text", "--payload", "text", "--codec", text.value)
        falconws(root, "add-media-handler", f"{binary.value} binary", "--payload", "binary", "--codec", binary.value)
        kept |= {f"test_{text.value}_text", f"test_{binary.value}_binary"}
        others = [p.name for p in (root / "tests" / "media").iterdir() if p.suffix == ".py" and p.stem not in
                  (f"test_{text.value}_text", f"test_{binary.value}_binary")]  # fmt: skip
        ignored = [f"--ignore=tests/media/{name}" for name in others]
        if len(kept) <= 2 * len(texts):
            assert_tests_pass(root, *ignored, expected=11 + 10 + 8)
        else:
            # Every TEXT handler has met every resource by now; no resource sends BINARY.
            assert_tests_pass(root, "tests/media", *ignored, expected=8)
    assert {p.stem for p in (root / "tests" / "media").glob("*.py")} == kept
    assert_formatted_and_linted(root)
    assert_typed(root)


def test_the_longest_names_and_routes_are_still_formatted(tmp_path: Path) -> None:
    root = new_project(tmp_path, "p" + "q" * 39)
    name = "n" * 40
    for (number, pattern), route in itertools.product(enumerate(Pattern), ("short", "a" * 60, "b" * 200)):
        letter = "pqrstuv"[number] + route[0]
        falconws(
            root, "add-resource", letter * 20, "--pattern", pattern.value, "--route", f"/{letter}{route}/{{x:uuid}}"
        )
    for kind in Kind:
        falconws(root, "add-middleware", name[:-2] + kind.value[:2], "--kind", kind.value)
    for codec, facts in CODECS.items():
        for payload in facts.payloads:
            long_name = (codec.value + payload.value).ljust(40, "x")
            app = next(root.glob("p*/app.py"))
            before = app.read_text()
            falconws(root, "add-media-handler", long_name, "--payload", payload.value, "--codec", codec.value)
            assert_formatted_and_linted(root)
            app.write_text(before)
    assert_formatted_and_linted(root)


ODD_NAMES = {
    "http": ["--pattern", "duplex"],
    "test": ["--pattern", "feed"],
    "tests": ["--pattern", "http"],
    "conftest": ["--pattern", "echo"],
    "json": ["--pattern", "room"],
    "asyncio": ["--pattern", "duplex", "--typed"],
    "falcon": ["--pattern", "request-response"],
    "falconws": ["--pattern", "room", "--typed"],
    "settings": ["--pattern", "blank"],
    "HTTP API": ["--pattern", "http", "--route", "/api/{version:int}/{path:path}"],
    "routes": ["--pattern", "room", "--route", "/a/{x:int}/b/{y:uuid}/{z:dt}/{w:float}"],
    "message": ["--pattern", "duplex", "--route", "/m/{x}/b/{y}.json"],
}


def test_names_that_mean_something_else_to_python_or_pytest_are_clean_and_tested(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    for name, options in ODD_NAMES.items():
        falconws(root, "add-resource", name, *options)
    for name in ("json", "logging", "test"):
        falconws(root, "add-middleware", name, "--kind", "logging")
    falconws(root, "add-middleware", "settings", "--kind", "token-auth")
    assert_formatted_and_linted(root)
    assert_typed(root)
    # A warning of pytest would be among what is counted.
    assert_tests_pass(root, expected=11 + 40)


def test_every_template_is_among_the_combinations() -> None:
    root = find_root()
    resources = {path.name for path in (root / "resource").iterdir()}
    assert {path.name for path in (root / "typed").iterdir()} == {pattern.value for pattern in TYPED}
    middleware = {path.name for path in (root / "middleware").iterdir()}
    handlers = {(path.parent.name, path.name) for path in (root / "media_handler").glob("*/*")}
    assert resources == {pattern.value for pattern in Pattern}
    assert middleware == {kind.value for kind in Kind}
    assert handlers == {(c.value, p.value) for c, facts in CODECS.items() for p in facts.payloads}


def test_a_served_handler_speaks_its_codec(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    falconws(root, "add-media-handler", "tagged", "--payload", "text", "--codec", "custom")
    falconws(root, "add-resource", "room", "--pattern", "request-response")
    # A resource that answers with what only this handler can say.
    room = root / "demo" / "resources" / "room.py"
    room.write_text(re.sub(r'return \{"id": request.get\("id"\).*', 'return {"was": request["at"]}', room.read_text()))
    with served(root) as address, connect(f"ws://{address}/room") as ws:
        moment = {"$datetime": "2030-01-31T12:00:00+00:00"}
        ws.send(json.dumps({"text": "", "at": moment}))
        assert json.loads(ws.recv(timeout=START_S)) == {"was": moment}


@pytest.mark.parametrize("route", ROUTES)
def test_what_has_no_websocket_or_no_page_is_clean_and_tested(tmp_path: Path, route: str) -> None:
    root = new_project(tmp_path)
    template, example = ROUTES[route]
    chosen = {
        "orders": ("http",),
        "chat": ("room", "--no-page"),
        "quiet": ("room", "--no-page", "--no-http"),
        "typed": ("room", "--no-page", "--no-http", "--typed"),
    }
    for name, options in chosen.items():
        typed = ["--route", f"/{name}/{template}"] if template else []
        falconws(root, "add-resource", name, "--pattern", *options, *typed)
    assert_formatted_and_linted(root)
    assert_typed(root)
    assert_tests_pass(root, expected=11 + 5 + 3 * 10)
    assert not list(root.glob("demo/resources/*.html"))
    with served(root) as address:
        suffix = f"/{example}" if example else ""
        assert get(address, f"/orders{suffix}") == (200, {"texts": []})
        with pytest.raises(InvalidStatus), connect(f"ws://{address}/orders{suffix}"):
            pass


def test_developers_have_the_page_of_a_room_even_if_it_has_nothing_else_over_http(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    for name, options in {"chat": (), "typed": ("--typed",)}.items():
        falconws(root, "add-resource", name, "--pattern", "room", "--no-http", *options)
    with served(root, None, "--console") as address:
        for path in ("/chat", "/typed"):
            status, page = get(address, path)
            assert status == 200
            assert "<title>Chat</title>" in str(page)
            with pytest.raises(HTTPError) as elsewhere:
                get(address, path, {"Host": "example.com"})
            elsewhere.value.close()
            assert elsewhere.value.code == 404


def test_the_pattern_http_has_no_options_of_websockets(tmp_path: Path) -> None:
    root = new_project(tmp_path)
    for option in (["--no-http"], ["--subprotocol", "wamp"]):
        falconws(root, "add-resource", "orders", "--pattern", "http", *option, code=2)
