"""Three places say which version this is, because none of them may load another; they agree."""

import tomllib
from pathlib import Path

import falconws
from falconws_cli import VERSION


def test_the_version_is_the_same_everywhere() -> None:
    pyproject = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())
    assert pyproject["project"]["version"] == VERSION == falconws.__version__
