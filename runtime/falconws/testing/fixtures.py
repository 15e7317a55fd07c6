"""The fixtures of the pytest plugin. They need a fixture ``app`` that returns the application under test.

Where another plugin has fixtures of the same names, import these in a conftest.py:
``from falconws.testing.fixtures import client, live_server``. Imports neither Falcon nor uvicorn until one is used.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from .client import Client
    from .live import LiveServer

__all__ = ("client", "client_headers", "falconws_app", "live_server")


@pytest.fixture
def falconws_app(request: pytest.FixtureRequest) -> Any:
    """The application under test, from the project's fixture ``app``."""
    try:
        return request.getfixturevalue("app")
    except pytest.FixtureLookupError as error:
        if error.argname != "app":
            raise
    pytest.fail(
        "The fixtures 'client' and 'live_server' of falconws need a fixture 'app' that returns your application. "
        "Define it in tests/conftest.py:\n\n"
        "    @pytest.fixture\n"
        "    def app():\n"
        "        return create_app()\n",
        pytrace=False,
    )


@pytest.fixture
def client_headers() -> dict[str, str]:
    """The headers that ``client`` sends with every request: none. Override it in a conftest.py to add some."""
    return {}


async def _client(falconws_app: Any, client_headers: dict[str, str]) -> AsyncIterator[Client]:
    """An in-process client of the fixture ``app``: WebSockets and HTTP, each wait limited to 5 s."""
    from .client import Client

    async with Client(falconws_app, headers=client_headers) as client:
        yield client


def _no_client() -> None:
    pytest.fail("The fixture 'client' needs pytest-asyncio: pip install \"falconws[cli]\"", pytrace=False)


def _client_fixture() -> Any:
    # With pytest alone, falconws must not keep a project's tests from running.
    if find_spec("pytest_asyncio") is None:
        return pytest.fixture(_no_client, name="client")
    import pytest_asyncio

    return pytest_asyncio.fixture(_client, name="client")


client = _client_fixture()


@pytest.fixture
def live_server(falconws_app: Any) -> Iterator[LiveServer]:
    """The fixture ``app`` on a real uvicorn on a free loopback port: ``live_server.url``, ``live_server.ws_url``."""
    from .live import LiveServer

    with LiveServer(falconws_app) as server:
        yield server
