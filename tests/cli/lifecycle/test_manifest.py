"""What a project remembers, as text and back."""

import json
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falconws_cli.change.manifest import (
    Destroyed,
    Manifest,
    Operation,
    RecordedEdit,
    RecordedRegistration,
    load_manifest,
)
from falconws_cli.change.plan import Recipe, Requirements
from falconws_cli.change.record import Record, read_record, sha256
from falconws_cli.change.writer import commit

WITHOUT_A_CLOCK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
TEXT = st.text(max_size=12)
KEYS = st.binary(max_size=4).map(sha256)
NAMES = st.lists(TEXT, max_size=3).map(tuple)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
FILES = st.dictionaries(TEXT, KEYS, max_size=3)
EDITS = st.dictionaries(TEXT, st.builds(RecordedEdit, KEYS, KEYS), max_size=3)
REQUIREMENTS = st.builds(Requirements, NAMES, NAMES, NAMES, NAMES, NAMES)
OPERATIONS = st.builds(
    Operation,
    command=TEXT,
    version=TEXT,
    recipe=st.builds(Recipe, TEXT, TEXT, st.dictionaries(TEXT, JSON, max_size=3), TEXT),
    files=FILES,
    packages=st.lists(TEXT, max_size=3).map(sorted).map(tuple),
    edits=EDITS,
    registrations=st.lists(
        st.builds(RecordedRegistration, TEXT, TEXT, TEXT, st.dictionaries(TEXT, JSON, max_size=3), TEXT, NAMES),
        max_size=2,
    ).map(tuple),
    requirements=REQUIREMENTS,
    added=REQUIREMENTS,
    partly_removed=st.booleans(),
)
MANIFESTS = st.builds(
    Manifest,
    st.lists(OPERATIONS, max_size=3).map(tuple),
    st.none() | st.builds(Destroyed, TEXT, FILES, EDITS, KEYS),
    FILES,
)


@WITHOUT_A_CLOCK
@given(MANIFESTS)
def test_what_is_written_is_read_again(manifest: Manifest) -> None:
    data = manifest.dump()
    assert load_manifest(data, "x") == manifest
    assert load_manifest(data, "x").dump() == data


@WITHOUT_A_CLOCK
@given(MANIFESTS)
def test_one_operation_more_changes_nothing_above_it(manifest: Manifest) -> None:
    before = Manifest(manifest.operations).dump().decode().splitlines()
    after = Manifest(manifest.operations).adding(Operation("c", "v", Recipe("g", "n"))).dump().decode().splitlines()
    same = len(before) - 3
    assert [line.rstrip(",") for line in before[:same]] == [line.rstrip(",") for line in after[:same]]


def operation(*texts: bytes) -> Operation:
    return Operation("c", "v", Recipe("g", "n"), files={f"{n}.py": sha256(text) for n, text in enumerate(texts)})


def remembered(root: Path, manifest: Manifest, *texts: bytes) -> Record:
    files = read_record(root).changes(manifest, texts)
    commit(root, files)
    return read_record(root)


def test_each_text_is_kept_once_and_only_while_something_names_it(tmp_path: Path) -> None:
    first, second = b"first\n" * 100, b"second\n" * 100
    record = remembered(tmp_path, Manifest((operation(first, first), operation(first, second))), first, second)
    base = tmp_path / ".falconws" / "base"
    assert sorted(path.name for path in base.iterdir()) == sorted(f"{sha256(text)}.z" for text in (first, second))
    assert record.text(sha256(second)) == second
    # A search through the project finds the text once: in the file that was generated.
    assert not any(b"second" in path.read_bytes() for path in base.iterdir())
    record = remembered(tmp_path, record.manifest.replacing({1: None}))
    assert [path.name for path in base.iterdir()] == [f"{sha256(first)}.z"]
    remembered(tmp_path, Manifest())
    assert list(tmp_path.iterdir()) == []


def test_a_text_that_is_damaged_is_no_text(tmp_path: Path) -> None:
    text = b"text\n"
    record = remembered(tmp_path, Manifest((operation(text),)), text)
    (path,) = (tmp_path / ".falconws" / "base").iterdir()
    path.write_bytes(path.read_bytes()[:-1])
    assert record.text(sha256(text)) is None
    (other,) = remembered(tmp_path, Manifest((operation(b"other"),)), b"other").manifest.operations
    assert list(other.files.values()) == [sha256(b"other")]


def test_the_manifest_is_for_people_too(tmp_path: Path) -> None:
    text = b"text\n"
    remembered(tmp_path, Manifest((operation(text),)), text)
    manifest = (tmp_path / ".falconws" / "manifest.json").read_text()
    assert json.loads(manifest)["about"].startswith("What falconws generated here")
    assert manifest.count("\n") > 10
