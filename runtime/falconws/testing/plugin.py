"""The pytest plugin: registers the fixtures of :mod:`.fixtures` as ``client`` and ``live_server``.

pytest loads it in every project whose environment has falconws. Therefore it imports neither Falcon nor uvicorn, and
does not register a fixture that another plugin (pytest-django, pytest-flask) has under the same name.
"""

from __future__ import annotations

from pathlib import Path
from types import ModuleType

import pytest

from . import fixtures

__all__ = ("pytest_configure",)


def pytest_configure(config: pytest.Config) -> None:
    """Register the fixtures whose names no other plugin uses."""
    # pytest looks for fixtures only in modules and classes.
    offered = ModuleType("falconws-fixtures")
    for name in fixtures.__all__:
        if not any(_provides(plugin, name) for plugin in config.pluginmanager.get_plugins()):
            setattr(offered, name, getattr(fixtures, name))
    config.pluginmanager.register(offered, offered.__name__)


def _provides(plugin: object, name: str) -> bool:
    # A conftest.py is a plugin too, but its fixtures override these where they apply, and only there.
    in_conftest = Path(getattr(plugin, "__file__", None) or "").name == "conftest.py"
    return not in_conftest and isinstance(getattr(plugin, name, None), type(fixtures.falconws_app))
