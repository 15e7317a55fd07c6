"""The templates of releases whose projects do not remember what was generated: an archive for each, never changed."""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from falconws_cli.templating.rendering import rendering_only

FORGETFUL = "0.1.0"
"""The only release without a manifest."""


@contextmanager
def rendering_as(version: str) -> Iterator[None]:
    """Render with the templates of that release meanwhile."""
    with TemporaryDirectory(prefix="falconws-") as folder:
        with zipfile.ZipFile(_archive(version)) as archive:
            archive.extractall(folder)
        with rendering_only(Path(folder)):
            yield


def trees_of(version: str, kind: str) -> list[tuple[str, ...]]:
    """Return the trees that the release had of a kind, as the names of their folders: ("duplex",), ("cbor", "binary").

    Args:
        version: The release.
        kind: "resource", "middleware" or "media_handler".
    """
    with zipfile.ZipFile(_archive(version)) as archive:
        folders = [name.split("/")[1:-1] for name in archive.namelist() if name.startswith(f"{kind}/")]
    depth = 2 if kind == "media_handler" else 1
    return sorted({tuple(folder[:depth]) for folder in folders})


def _archive(version: str) -> Path:
    return Path(__file__).with_name(f"{version}.zip")
