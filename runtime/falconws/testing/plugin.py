"""The pytest plugin: registers the fixtures of :mod:`.fixtures` as ``client`` and ``live_server``.

pytest loads this in every project whose environment has falconws. So it imports neither Falcon nor uvicorn, and
gives way where another plugin (pytest-django's, pytest-flask's) has a fixture of the same name.
"""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from . import fixtures

__all__ = ("pytest_configure",)


def pytest_configure(config: pytest.Config) -> None:
    """Offer the fixtures whose names no other plugin has taken."""
    plugins = config.pluginmanager.get_plugins()
    free = {
        name: getattr(fixtures, name)
        for name in fixtures.__all__
        if not any(hasattr(plugin, name) for plugin in plugins)
    }
    config.pluginmanager.register(SimpleNamespace(**free), fixtures.__name__)
