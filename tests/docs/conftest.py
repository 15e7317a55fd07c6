"""The fixture that imports a snippet of the documentation."""

import importlib.util
import uuid
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

ROOT = Path(__file__).parents[2]


@pytest.fixture
def snippet() -> Callable[[str], ModuleType]:
    """Return a function that imports a new copy of docs/snippets/NAME.py."""

    def load(name: str) -> ModuleType:
        path = ROOT / "docs" / "snippets" / f"{name}.py"
        spec = importlib.util.spec_from_file_location(f"snippet_{path.stem}_{uuid.uuid4().hex}", path)
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        return module

    return load
