"""The pytest plugin, in projects of its own."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytest_plugins = ["pytester"]

# Several of them start pytest more than once.
pytestmark = pytest.mark.timeout(400)

INI = """
[pytest]
asyncio_mode = {mode}
asyncio_default_fixture_loop_scope = function
filterwarnings = error
"""

CONFTEST = """
import falcon.asgi
import pytest

class Echo:
    async def on_websocket(self, req, ws):
        await ws.accept()
        await ws.send_text(await ws.receive_text())

@pytest.fixture
def app():
    app = falcon.asgi.App()
    app.add_route("/echo", Echo())
    return app
"""

TESTS = """
import asyncio
import pytest
import websockets

{mark}
async def test_client(client):
    async with client.websocket("/echo") as ws:
        await ws.send_text("one")
        assert await ws.receive_text() == "one"

{mark}
async def test_live_server(live_server):
    async with websockets.connect(live_server.ws_url + "/echo") as ws:
        await ws.send("one")
        assert await asyncio.wait_for(ws.recv(), 20) == "one"

def test_live_server_from_a_plain_test(live_server):
    assert live_server.url.startswith("http://127.0.0.1:")
"""


@pytest.fixture
def run(pytester):
    """Return a function that runs pytest in a process of its own, on what the test has written."""

    def run(*arguments):
        return pytester.runpytest_subprocess("-p", "no:xdist", "-p", "no:cacheprovider", *arguments, timeout=120)

    return run


@pytest.mark.parametrize(("mode", "mark"), [("auto", ""), ("strict", "@pytest.mark.asyncio")])
def test_the_fixtures_serve_the_projects_app(pytester, run, mode, mark):
    pytester.makeini(INI.format(mode=mode))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(TESTS.format(mark=mark))
    run().assert_outcomes(passed=3)


def test_an_async_app_fixture_serves_too(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    pytester.makeconftest(CONFTEST.replace("def app", "async def app"))
    pytester.makepyfile(TESTS.format(mark=""))
    run().assert_outcomes(passed=3)


def test_a_missing_app_fixture_is_explained(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    pytester.makepyfile(TESTS.format(mark=""))
    result = run()
    result.assert_outcomes(errors=3)
    result.stdout.fnmatch_lines(
        [
            "*need a fixture 'app' that returns your application. Define it in tests/conftest.py:",
            "    @pytest.fixture",
            "    def app():",
        ]
    )
    assert "Traceback" not in result.stdout.str()


def test_a_fixture_that_app_itself_misses_is_pytests_own_error(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    pytester.makeconftest(CONFTEST.replace("def app()", "def app(settings)"))
    pytester.makepyfile(TESTS.format(mark=""))
    result = run("-k", "plain")
    result.assert_outcomes(errors=1, deselected=2)
    result.stdout.fnmatch_lines(["*fixture 'settings' not found"])


def test_an_error_of_the_apps_shutdown_fails_the_test(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    pytester.makeconftest(
        CONFTEST
        + """
class Middleware:
    async def process_shutdown(self, scope, event):
        raise ZeroDivisionError("on purpose")

@pytest.fixture
def app():
    return falcon.asgi.App(middleware=[Middleware()])
"""
    )
    pytester.makepyfile("async def test_nothing(client): pass\ndef test_live(live_server): pass")
    result = run()
    result.assert_outcomes(passed=2, errors=2)
    result.stdout.fnmatch_lines(["*ZeroDivisionError: on purpose*"])


def test_an_unrelated_project_does_not_notice_it(pytester, run):
    pytester.makeini("[pytest]\nfilterwarnings = error\n")
    pytester.makepyfile(
        """
        import sys

        def test_nothing(request):
            assert request.config.pluginmanager.hasplugin("falconws")
            assert "uvicorn" not in sys.modules
            assert "falconws.testing.client" not in sys.modules
        """
    )
    run("-p", "no:asyncio").assert_outcomes(passed=1)
    pytester.makeini(INI.format(mode="strict"))
    run().assert_outcomes(passed=1)


def test_a_projects_own_fixtures_win(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    pytester.makeconftest("import pytest\n@pytest.fixture\ndef client():\n    return 'own'\n")
    pytester.makepyfile("def test_it(client): assert client == 'own'")
    run().assert_outcomes(passed=1)


def test_a_conftests_fixtures_win_in_its_own_folder_only(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    pytester.makeconftest(CONFTEST)
    for folder, conftest, test in (
        ("one", "import pytest\n@pytest.fixture\ndef client():\n    return 'own'\n", "client == 'own'"),
        ("two", "", "client.timeout == 5.0"),
    ):
        path = pytester.mkdir(folder)
        (path / "conftest.py").write_text(conftest)
        (path / f"test_{folder}.py").write_text(f"async def test_it(client): assert {test}")
    run("one", "two").assert_outcomes(passed=2)


def test_another_plugins_fixtures_win_whatever_the_order(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    pytester.makeconftest(CONFTEST)
    pytester.makepyfile(
        other="import pytest\n@pytest.fixture\ndef client():\n    return 'other'\n",
        test_it="""
        async def test_it(client, live_server):
            assert client == 'other'
            assert live_server.port
        """,
    )
    run("-p", "other").assert_outcomes(passed=1)
    pytester.makepyfile(
        test_it="""
        from falconws.testing.fixtures import client

        async def test_it(client):
            assert client.timeout == 5.0
        """
    )
    run("-p", "other").assert_outcomes(passed=1)


def test_the_fixtures_are_listed_with_what_they_do(pytester, run):
    pytester.makeini(INI.format(mode="auto"))
    run("--fixtures").stdout.fnmatch_lines(
        ["*An in-process client of the fixture ``app``*", "*on a real uvicorn on a free loopback port*"]
    )


def test_importing_falconws_testing_is_cheap():
    code = (
        "import sys, falconws; before = set(sys.modules); import falconws.testing.plugin; "
        "print(sorted(m for m in set(sys.modules) - before if m.split('.')[0] in ('falcon', 'uvicorn', 'falconws')))"
    )
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120, check=True)
    assert output.stdout.strip() == str(["falconws.testing", "falconws.testing.fixtures", "falconws.testing.plugin"])


def test_falconws_testing_exports_what_it_says():
    import falconws.testing

    for name in falconws.testing.__all__:
        exported = getattr(falconws.testing, name)
        assert name.isupper() or exported.__name__ == name
        assert name in dir(falconws.testing)
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = falconws.testing.Nothing
