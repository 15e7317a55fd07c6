"""The projects of the contract: every layout, every form of pyproject.toml, and what each generator does in them."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

FACTORY = '''"""Creates the application."""

import falconws


def create_app() -> falconws.App:
    app = falconws.App()
    return app
'''
WITH_ROUTES = FACTORY.replace("import falconws\n", "import falconws\n\nfrom {module} import add_routes\n").replace(
    "    return", "    add_routes(app)\n    return"
)
ROUTES = '''"""All routes."""

import falconws


def add_routes(app: falconws.App) -> None:
    """Add all routes."""
'''


@dataclass(frozen=True)
class Layout:
    """Where a project has its modules."""

    app: str
    """The app in [tool.falconws]."""
    files: dict[str, str]
    app_path: str
    routes_path: str
    package_path: str
    package: str = "demo"
    toml: str = ""
    """More lines of pyproject.toml, which say where the package is."""


def _split(folder: str, package: str = "demo") -> dict[str, str]:
    return {
        f"{folder}/__init__.py": "",
        f"{folder}/app.py": WITH_ROUTES.format(module=f"{package}.routes"),
        f"{folder}/routes.py": ROUTES,
    }


LAYOUTS = {
    "flat": Layout("demo.app:create_app", _split("demo"), "demo/app.py", "demo/routes.py", "demo"),
    "src": Layout("demo.app:create_app", _split("src/demo"), "src/demo/app.py", "src/demo/routes.py", "src/demo"),
    "namespace": Layout(
        "acme.ns.app:create_app",
        _split("acme/ns", "acme.ns"),
        "acme/ns/app.py",
        "acme/ns/routes.py",
        "acme/ns",
        "acme.ns",
    ),
    "main.py": Layout(
        "demo.main:create_app",
        {"demo/__init__.py": "", "demo/main.py": FACTORY},
        "demo/main.py",
        "demo/main.py",
        "demo",
    ),
    "routes in the app": Layout(
        "demo.app:create_app",
        {
            "demo/__init__.py": "",
            "demo/app.py": FACTORY.replace("    return", '    app.add_route("/a", object())\n    return'),
            "demo/routes.py": 'PREFIX = "/v1"\n',
        },
        "demo/app.py",
        "demo/app.py",
        "demo",
    ),
    "app in __init__.py": Layout(
        "demo:create_app", {"demo/__init__.py": FACTORY}, "demo/__init__.py", "demo/__init__.py", "demo"
    ),
    "package of routes": Layout(
        "demo.app:create_app",
        {
            "demo/__init__.py": "",
            "demo/app.py": WITH_ROUTES.format(module="demo.routes"),
            "demo/routes/__init__.py": ROUTES,
        },
        "demo/app.py",
        "demo/routes/__init__.py",
        "demo",
    ),
    "urls.py": Layout(
        "demo.asgi:app",
        {
            "demo/__init__.py": "",
            "demo/app.py": WITH_ROUTES.format(module="demo.urls"),
            "demo/asgi.py": "from demo.app import create_app\n\napp = create_app()\n",
            "demo/urls.py": ROUTES,
        },
        "demo/app.py",
        "demo/urls.py",
        "demo",
    ),
    "another name": Layout(
        "shop.app:create_app", _split("shop", "shop"), "shop/app.py", "shop/routes.py", "shop", "shop"
    ),
    "another folder": Layout(
        "demo.app:create_app",
        _split("lib/demo"),
        "lib/demo/app.py",
        "lib/demo/routes.py",
        "lib/demo",
        toml='\n[tool.setuptools.package-dir]\n"" = "lib"\n',
    ),
    "mapped": Layout(
        "demo.app:create_app",
        _split("store"),
        "store/app.py",
        "store/routes.py",
        "store",
        toml='\n[tool.hatch.build.targets.wheel.sources]\nstore = "demo"\n',
    ),
}


@dataclass(frozen=True)
class PyprojectVariant:
    """A form of pyproject.toml."""

    text: str
    files: dict[str, str] = field(default_factory=dict)
    lists: bool = True
    """Whether dependencies are listed in [project]."""
    encode: Callable[[str], bytes] = str.encode
    refused: str = ""
    """Why no command works, if none does."""


def _crlf(text: str) -> bytes:
    return text.replace("\n", "\r\n").encode()


def _with_mark(text: str) -> bytes:
    return b"\xef\xbb\xbf" + text.encode()


_PROJECT = '[project]\nname = "demo"\nversion = "1"\n'
VARIANTS = {
    "PEP 621": PyprojectVariant(
        f'# Ours.\n{_PROJECT}dependencies = [\n    "falconws",  # The framework.\n]\n\n'
        '[project.optional-dependencies]\ndev = ["ruff"]\n'
    ),
    "dynamic": PyprojectVariant('[project]\nname = "demo"\ndynamic = ["version", "dependencies"]\n', lists=False),
    "none": PyprojectVariant("[tool.ruff]\nline-length = 100\n", lists=False),
    "poetry": PyprojectVariant(
        '[tool.poetry]\nname = "demo"\nversion = "1"\n\n[tool.poetry.dependencies]\npython = "^3.11"\n', lists=False
    ),
    "groups": PyprojectVariant(f'{_PROJECT}dependencies = []\n\n[dependency-groups]\ndev = ["ruff"]\n'),
    "uv": PyprojectVariant(f'{_PROJECT}dependencies = ["falconws"]\n', {"uv.lock": "version = 1\n"}),
    "byte order mark": PyprojectVariant(
        f'{_PROJECT}dependencies = ["falconws"]\n', encode=_with_mark, refused="byte order mark"
    ),
    "comments": PyprojectVariant(
        f'{_PROJECT}dependencies = [ "falconws>=0.3", # The framework.\n  # "orjson",\n]\n\n'
        '[project.optional-dependencies]\ndev = [ "ruff", # Lint.\n]\n'
    ),
    "markers": PyprojectVariant(
        f"{_PROJECT}dependencies = [\n\"falconws[redis]>=0.3; python_version > '3'\",\n'httpx ~= 0.27' # Old.\n]\n"
    ),
    "included group": PyprojectVariant(
        f'{_PROJECT}dependencies = ["falconws"]\n\n'
        '[dependency-groups]\nlint = ["ruff"]\ndev = [{include-group = "lint"}, "pytest"]\n'
    ),
    "poetry 2": PyprojectVariant(
        f'{_PROJECT}dependencies = ["falconws (>=0.3,<0.4)"]\n\n[tool.poetry.group.dev.dependencies]\nruff = "*"\n',
        {"poetry.lock": ""},
    ),
    "inline tables": PyprojectVariant(
        "tool.ruff = { line-length = 100 }\n\n"
        f'{_PROJECT}dependencies = ["falconws"]\noptional-dependencies = {{ dev = ["ruff"] }}\n'
    ),
    "CRLF": PyprojectVariant(f'{_PROJECT}dependencies = ["falconws"]\n', encode=_crlf),
    "no newline": PyprojectVariant(
        f'{_PROJECT}dependencies = ["falconws"]\n', encode=lambda text: text.rstrip().encode()
    ),
}


@dataclass(frozen=True)
class Addition:
    """What a generating command adds."""

    words: tuple[str, ...]
    remove: tuple[str, ...]
    module: str
    """The main file, below the package or, with a leading slash, below the root."""
    registered: str = ""
    """The expression that the app or the routes get; empty for what is not registered."""
    in_routes: bool = False
    dependency: str = ""


ADDITIONS = {
    "resource": Addition(
        ("add-resource", "chat"), ("remove-resource", "chat"), "resources/chat.py", "ChatResource()", in_routes=True
    ),
    "room": Addition(
        ("add-resource", "lobby", "--pattern", "room"),
        ("remove-resource", "lobby"),
        "resources/lobby.py",
        "LobbyResource()",
        in_routes=True,
    ),
    "middleware": Addition(
        ("add-middleware", "journal", "--kind", "logging"),
        ("remove-middleware", "journal"),
        "middleware/journal.py",
        "JournalMiddleware()",
    ),
    "authentication": Addition(
        ("add-middleware", "auth", "--kind", "token-auth"),
        ("remove-middleware", "auth"),
        "middleware/auth.py",
        "AuthMiddleware.from_env()",
    ),
    "media handler": Addition(
        ("add-media-handler", "fast", "--payload", "text", "--codec", "orjson"),
        ("remove-media-handler", "fast"),
        "media/fast.py",
        "FastHandler()",
        dependency="orjson",
    ),
    "docker": Addition(("add-part", "docker"), ("remove-part", "docker"), "/Dockerfile"),
    "hooks": Addition(("add-part", "pre-commit"), ("remove-part", "pre-commit"), "/.pre-commit-config.yaml"),
}
PLAIN_APPS = {
    "module": ("import falcon.asgi\n", "falcon.asgi.App"),
    "submodule": ("from falcon import asgi\n", "asgi.App"),
    "class": ("from falcon.asgi import App\n", "App"),
    "another name": ("from falcon.asgi import App as Falcon\n", "Falcon"),
    "alias": ("import falcon.asgi as web\n", "web.App"),
    "subclass": ("import falcon.asgi\n\n\nclass Shop(falcon.asgi.App):\n    pass\n", "Shop"),
    "subclass of a subclass": (
        "from falcon import asgi\n\n\nclass Base(asgi.App):\n    pass\n\n\nclass Shop(Base):\n    pass\n",
        "Shop",
    ),
}
"""Each way to spell an app of Falcon's own class: the top of the module, and the class."""
CONFTEST = '''"""Fixtures."""

import pytest


@pytest.fixture
def app() -> object:
    return None
'''


PYTEST = "[pytest]\nasyncio_mode = auto\n"


def build(folder: Path, layout: Layout, variant: PyprojectVariant) -> Path:
    """Write a project of this layout into *folder*, and return its root."""
    root = folder / "project"
    files = {
        **layout.files,
        "tests/conftest.py": CONFTEST,
        "pytest.ini": PYTEST,
        "README.md": "# Demo\n\nOurs.\n",
        **variant.files,
    }
    for path, text in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    text = f'{variant.text}{layout.toml}\n[tool.falconws]\napp = "{layout.app}"\n'
    (root / "pyproject.toml").write_bytes(variant.encode(text))
    return root
