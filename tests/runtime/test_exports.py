import inspect
import re
import subprocess
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path

import pytest

import falconws

REFERENCE = Path(__file__).parents[2] / "docs" / "reference"
PACKAGES = ("falconws", "falconws.client", "falconws.hub", "falconws.server", "falconws.testing", "falconws.typed")


@pytest.fixture(scope="module")
def reference() -> str:
    return "\n".join(path.read_text() for path in sorted(REFERENCE.glob("*.md")))


@pytest.mark.parametrize("package", PACKAGES)
def test_what_is_public_is_what_the_reference_documents(package: str, reference: str) -> None:
    public = set(import_module(package).__all__)
    targets = re.findall(r"^\.\. (?:auto)?(?:class|exception|function|data):: ([\w.]+)", reference, re.MULTILINE)
    documented = {name for owner, _, name in (target.rpartition(".") for target in targets) if owner == package}
    assert documented <= public
    # What two packages export is documented once.
    assert public <= {target.rpartition(".")[2] for target in targets}


@pytest.mark.parametrize("name", falconws.__all__)
def test_every_public_name_is_there_and_documented(name: str) -> None:
    value = getattr(falconws, name)
    assert inspect.getdoc(value)


def test_names_that_are_not_public_are_not_there() -> None:
    with pytest.raises(AttributeError, match="no attribute 'Appp'"):
        _ = falconws.Appp
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
