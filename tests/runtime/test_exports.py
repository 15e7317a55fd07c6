import inspect
import subprocess
import sys
from importlib.metadata import version

import pytest

import falconws


@pytest.mark.parametrize("name", falconws.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(falconws, name)
    assert inspect.getdoc(value)


def test_names_that_are_not_public_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Appp'"):
        _ = falconws.Appp  # type: ignore[attr-defined]
    assert set(falconws.__all__) <= set(dir(falconws))


@pytest.mark.parametrize("owner", ["App", "WebSocket", "WebSocketOptions", "TaskScope", "WebSocketDisconnected"])
def test_every_public_method_is_documented(owner: str) -> None:
    undocumented = [
        name
        for name, member in vars(getattr(falconws, owner)).items()
        if not name.startswith("_") and (callable(member) or isinstance(member, property)) and not member.__doc__
    ]
    assert undocumented == []


def test_the_version_is_that_of_the_distribution() -> None:
    assert falconws.__version__ == version("falconws")


def test_importing_the_package_does_not_load_falcon() -> None:
    code = "import sys, falconws; print([name for name in ('falcon', 'uvicorn', 'msgpack') if name in sys.modules])"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert output.stdout.strip() == "[]"
