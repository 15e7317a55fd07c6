"""`.falconws/` in a project: the manifest, and the texts that it remembers, each once and compressed.

Compressed, so that a search through the project does not find everything twice. Reads only: a change of the record
is planned files, which writer.py writes in one transaction with what they are about.
"""

import hashlib
import os
import re
import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from falconws_cli.change.manifest import Manifest, load_manifest
from falconws_cli.change.plan import PlannedFile
from falconws_cli.errors import CommandError

FOLDER = PurePosixPath(".falconws")
MANIFEST = FOLDER / "manifest.json"
_BASE = FOLDER / "base"
_ATTRIBUTES = FOLDER / ".gitattributes"
# Without a zero byte in it, git would take a short compressed text for lines, and on Windows change their ends.
_ATTRIBUTES_TEXT = b"base/*.z binary\nmanifest.json text eol=lf\n"
_TEXT_NAME = re.compile(r"([0-9a-f]{64})\.z")


@dataclass(frozen=True)
class Record:
    """What the project at *root* remembers; empty, where nothing was remembered yet."""

    root: Path
    manifest: Manifest
    exists: bool
    """Whether there is a manifest."""
    unwritten: Mapping[str, bytes] = field(default_factory=dict)
    """Texts that are remembered from now on, by their SHA-256; `changes` writes them."""

    def text(self, key: str) -> bytes | None:
        """Return the text with this SHA-256, or None when it is lost or damaged."""
        if key in self.unwritten:
            return self.unwritten[key]
        try:
            data = zlib.decompress((self.root / _path_of(key)).read_bytes())
        except (OSError, zlib.error):
            return None
        return data if sha256(data) == key else None

    def require_text(self, key: str) -> bytes:
        """Return the text with this SHA-256.

        Raises:
            CommandError: It is lost or damaged.
        """
        data = self.text(key)
        if data is None:
            raise CommandError(f"{_path_of(key)} is missing or damaged; restore {FOLDER}/ from your repository.")
        return data

    def changes(self, manifest: Manifest, texts: Iterable[bytes] = ()) -> list[PlannedFile]:
        """Return what writes *manifest* in place of the present one.

        Args:
            manifest: What shall be remembered; with nothing in it, nothing of the record stays.
            texts: The texts that it names and that are not remembered yet.
        """
        new = {**self.unwritten, **{sha256(data): data for data in texts}}
        wanted = set(manifest.texts())
        if manifest.destroyed is not None:
            earlier = manifest.destroyed.manifest
            wanted.update(load_manifest(new.get(earlier) or self.require_text(earlier), str(MANIFEST)).texts())
        known = _names_in(self.root / _BASE)
        files = [PlannedFile(_path_of(key), _compressed(new[key])) for key in sorted(wanted - known) if key in new]
        files += [self._without(_path_of(key)) for key in sorted(known - wanted)]
        anything = bool(manifest.operations or manifest.destroyed)
        for path, data in ((MANIFEST, manifest.dump()), (_ATTRIBUTES, _ATTRIBUTES_TEXT)):
            before = _read(self.root / path)
            if anything:
                files.append(PlannedFile(path, data, before=before))
            elif before is not None:
                files.append(PlannedFile(path, b"", before=before, delete=True))
        return files

    def _without(self, path: PurePosixPath) -> PlannedFile:
        return PlannedFile(path, b"", before=_read(self.root / path), delete=True)


def read_record(root: Path) -> Record:
    """Return what the project at *root* remembers.

    Raises:
        CommandError: The manifest is damaged, or cannot be read.
    """
    try:
        data = _read(root / MANIFEST)
    except OSError as error:
        raise CommandError(f"Cannot read {MANIFEST}: {(error.strerror or str(error)).lower()}.") from error
    if data is None:
        return Record(root, Manifest(), exists=False)
    return Record(root, load_manifest(data, str(MANIFEST)), exists=True)


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def is_text(data: bytes, key: str) -> bool:
    """Tell whether *data* is the text with this SHA-256, be it with the line ends that git on Windows gives it."""
    return sha256(data) == key or (b"\r\n" in data and sha256(unix(data)) == key)


def unix(data: bytes) -> bytes:
    """Return *data* with line feeds for line ends."""
    return data.replace(b"\r\n", b"\n")


def with_newlines_of(current: bytes, text: bytes) -> bytes:
    """Return *text* with the line ends of *current*, when that has other ones throughout."""
    if b"\r\n" in current and b"\r\n" not in text and current.count(b"\n") == current.count(b"\r\n"):
        return text.replace(b"\n", b"\r\n")
    return text


def _path_of(key: str) -> PurePosixPath:
    return _BASE / f"{key}.z"


def _compressed(data: bytes) -> bytes:
    return zlib.compress(data, 9)


def _names_in(folder: Path) -> set[str]:
    try:
        names = os.listdir(folder)
    except OSError:
        return set()
    return {match[1] for name in names if (match := _TEXT_NAME.fullmatch(name))}


def _read(path: Path) -> bytes | None:
    try:
        return path.read_bytes()
    except (FileNotFoundError, NotADirectoryError):
        return None
