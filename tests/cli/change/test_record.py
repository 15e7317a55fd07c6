"""What a project records: each operation as the text of one file, and back; the folder of all of them."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from falconws_cli.change.operation import (
    FORMAT,
    MAX_TEXT_BYTES,
    DamagedError,
    Operation,
    RecordedEdit,
    RecordedRegistration,
    dump_operation,
    load_operation,
)
from falconws_cli.change.plan import Recipe, Requirements
from falconws_cli.change.record import Record, read_record, sha256
from falconws_cli.change.writer import commit
from falconws_cli.errors import CommandError

WITHOUT_A_CLOCK = settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.too_slow])
ID = "20260131T120000.000000Z-1f2e3d4c"
TEXT = st.text(max_size=12)
DATA = st.binary(max_size=12) | st.text("ab\r\né", max_size=12).map(str.encode)
NAMES = st.lists(TEXT, max_size=3).map(tuple)
PATHS = st.text("abc._", min_size=1, max_size=8).map(lambda name: f"demo/x{name}y")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
)
REQUIREMENTS = st.builds(Requirements, NAMES, NAMES, NAMES, NAMES, NAMES)
OPERATIONS = st.builds(
    Operation,
    id=st.just(ID),
    command=TEXT,
    version=TEXT,
    recipe=st.none() | st.builds(Recipe, TEXT, TEXT, st.dictionaries(TEXT, JSON, max_size=3), TEXT),
    files=st.dictionaries(PATHS, DATA, max_size=3),
    packages=st.lists(PATHS, max_size=3).map(sorted).map(tuple),
    edits=st.dictionaries(PATHS, st.builds(RecordedEdit, st.none() | DATA, DATA.map(sha256)), max_size=3),
    registrations=st.lists(
        st.builds(
            RecordedRegistration,
            st.just("route"),
            PATHS,
            TEXT,
            st.fixed_dictionaries({"template": TEXT, "resource": TEXT}, optional={"factory": TEXT}),
            TEXT,
            NAMES,
        ),
        max_size=2,
    ).map(tuple),
    requirements=REQUIREMENTS,
    added=REQUIREMENTS,
    partly_removed=st.booleans(),
    upgraded=TEXT,
)


@WITHOUT_A_CLOCK
@given(OPERATIONS, st.lists(OPERATIONS, max_size=2).map(tuple))
def test_what_is_written_is_read_again(operation: Operation, destroyed: tuple[Operation, ...]) -> None:
    from dataclasses import replace

    operation = replace(operation, destroyed=destroyed)
    data = dump_operation(operation)
    assert load_operation(ID, data) == operation
    assert dump_operation(load_operation(ID, data)) == data


def operation(token: str, text: bytes = b"one\ntwo\n") -> Operation:
    return Operation(f"{ID[:-8]}{token * 8}", "c", "v", Recipe("g", "n"), files={"demo/one.py": text})


def recorded(root: Path, *operations: Operation) -> Record:
    commit(root, read_record(root).changes(operations))
    return read_record(root)


def test_each_operation_is_a_file_that_nothing_else_changes(tmp_path: Path) -> None:
    recorded(tmp_path, operation("a"))
    (first,) = (tmp_path / ".falconws/operations").iterdir()
    before = first.read_bytes()
    record = recorded(tmp_path, operation("a"), operation("b"))
    assert first.read_bytes() == before
    assert record.operations == (operation("a"), operation("b"))
    assert recorded(tmp_path, operation("b")).operations == (operation("b"),)
    assert not first.exists()
    recorded(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_people_can_read_it(tmp_path: Path) -> None:
    recorded(tmp_path, operation("a"))
    (file,) = (tmp_path / ".falconws/operations").iterdir()
    document = json.loads(file.read_text())
    assert document["about"].startswith("Written by falconws")
    assert document["files"] == {"demo/one.py": ["one", "two", ""]}
    assert "linguist-generated" in (tmp_path / ".falconws/.gitattributes").read_text()


def test_an_operation_follows_those_of_a_clock_that_is_ahead(tmp_path: Path) -> None:
    ahead = Operation("29990101T000000.999999Z-11111111", "c", "v", Recipe("g", "n"))
    assert Record(tmp_path, (ahead,)).next_id().startswith("29990101T000001.000000Z-")


@pytest.mark.parametrize(
    "path",
    [
        "../x",
        "/etc/passwd",
        "demo/../../x",
        ".git/config",
        "demo/.GIT/hooks/x",
        ".git ./x",
        "GIT~1/x",
        ".g\u200cit/x",
        ".git::$INDEX_ALLOCATION/x",
        "a\\..\\b",
        "",
    ],
)
@pytest.mark.parametrize("kind", ["files", "edits", "packages", "registrations"])
def test_a_path_that_leads_out_of_the_project_is_damage(kind: str, path: str) -> None:
    made = {"kind": "route", "path": path, "package": "p", "arguments": {}, "outcome": "registered", "imports": []}
    value = {
        "files": {path: [""]},
        "edits": {path: {"after": ""}},
        "packages": [path],
        "registrations": [made],
    }[kind]
    data = {"format": FORMAT, "command": "c", "version": "v", kind: value}
    with pytest.raises(DamagedError, match=r"project|git"):
        load_operation(ID, json.dumps(data).encode())
    nested = {"format": FORMAT, "command": "c", "version": "v", "destroyed": [{"id": ID, **data}]}
    with pytest.raises(DamagedError):
        load_operation(ID, json.dumps(nested).encode())


@pytest.mark.parametrize(
    ("generator", "options"),
    [
        ("project", {"with": "docker"}),
        ("project", {"with": [1]}),
        ("project", []),
        ("part", {"parts": None}),
        ("part", {"parts": [], "options": []}),
        ("part", {"parts": [], "options": {"with": 1}}),
    ],
)
def test_options_that_every_command_reads_are_checked_first(generator: str, options: object) -> None:
    recipe = {"generator": generator, "name": "demo", "options": options}
    data = {"format": FORMAT, "command": "c", "version": "v", "recipe": recipe}
    with pytest.raises(DamagedError, match="not complete"):
        load_operation(ID, json.dumps(data).encode())


def test_an_id_that_is_a_path_is_damage() -> None:
    inner = {"id": "../../../outside", "command": "c", "version": "v"}
    data = {"format": FORMAT, "command": "c", "version": "v", "destroyed": [inner]}
    with pytest.raises(DamagedError, match="not the id"):
        load_operation(ID, json.dumps(data).encode())


def test_a_text_has_a_limit() -> None:
    data = {"format": FORMAT, "command": "c", "version": "v", "files": {"a": ["x" * (MAX_TEXT_BYTES + 1)]}}
    with pytest.raises(DamagedError, match="larger than"):
        load_operation(ID, json.dumps(data).encode())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        "null",
        '"x"',
        "<<<<<<< HEAD\n{}",
        '{"format": 1}',
        '{"format": 1, "command": 1, "version": "v"}',
        "[" * 100000,
    ],
)
def test_damage_is_one_sentence_and_the_others_are_usable(tmp_path: Path, text: str) -> None:
    recorded(tmp_path, operation("a"), operation("b"))
    file = tmp_path / f".falconws/operations/{operation('a').id}.json"
    file.write_text(text)
    record = read_record(tmp_path)
    assert record.operations == (operation("b"),)
    (sentence,) = record.damaged
    assert sentence.startswith(f".falconws/operations/{operation('a').id}.json is damaged: ")
    assert "\n" not in sentence
    # What cannot be read is not deleted either.
    commit(tmp_path, record.changes([]))
    assert file.read_text() == text


def test_a_newer_format_is_refused_with_the_version_that_it_needs(tmp_path: Path) -> None:
    recorded(tmp_path, operation("a"), operation("b"))
    file = tmp_path / f".falconws/operations/{operation('a').id}.json"
    document = json.loads(file.read_text())
    file.write_text(json.dumps({**document, "format": FORMAT + 1, "needs": "9.9.0"}))
    with pytest.raises(CommandError, match=r"This project needs falconws 9\.9\.0 or newer"):
        read_record(tmp_path)
