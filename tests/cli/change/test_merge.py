import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconws_cli.change import merge as merging
from falconws_cli.change.merge import GitMissingError, Labels, Merged, NotTextError, three_way

BASE = b"import a\n\nx = 1\ny = 2\n\n\nend = True\n"
OURS = BASE.replace(b"x = 1", b"x = 10")
THEIRS = BASE.replace(b"end = True", b"end = False")


@pytest.fixture
def without_git(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_changes_in_different_places_are_both_kept() -> None:
    both = BASE.replace(b"x = 1", b"x = 10").replace(b"end = True", b"end = False")
    assert three_way(BASE, OURS, THEIRS) == Merged(both, 0)


def test_changes_in_one_place_become_the_conflict_markers_of_git() -> None:
    theirs = BASE.replace(b"x = 1", b"x = 11")
    assert three_way(BASE, OURS, theirs, Labels("mine", "0.1.0", "0.2.0")) == Merged(
        b"import a\n\n<<<<<<< mine\nx = 10\n||||||| 0.1.0\nx = 1\n=======\nx = 11\n>>>>>>> 0.2.0\n"
        b"y = 2\n\n\nend = True\n",
        1,
    )


def test_each_conflict_is_counted() -> None:
    base = b"".join(b"%d\n" % n for n in range(100))
    ours = base.replace(b"\n10\n", b"\nour 10\n").replace(b"\n50\n", b"\nour 50\n")
    theirs = base.replace(b"\n10\n", b"\ntheir 10\n").replace(b"\n50\n", b"\ntheir 50\n")
    merged = three_way(base, ours, theirs)
    assert merged.conflicts == 2
    assert merged.data.count(b"<<<<<<< ") == 2


def test_without_a_base_only_what_differs_is_a_conflict() -> None:
    merged = three_way(None, b"a\nours\nb\n", b"a\ntheirs\nb\n", Labels("mine", "unused", "new"))
    assert merged == Merged(b"a\n<<<<<<< mine\nours\n=======\ntheirs\n>>>>>>> new\nb\n", 1)


def test_the_line_ends_of_the_user_win() -> None:
    def windows(data: bytes) -> bytes:
        return data.replace(b"\n", b"\r\n")

    assert three_way(BASE, windows(BASE), THEIRS) == Merged(windows(THEIRS), 0)
    assert three_way(BASE, windows(OURS), THEIRS) == Merged(windows(three_way(BASE, OURS, THEIRS).data), 0)
    conflict = three_way(BASE, windows(OURS), BASE.replace(b"x = 1", b"x = 11"))
    assert conflict.conflicts == 1
    assert conflict.data.count(b"\n") == conflict.data.count(b"\r\n")


def test_a_missing_final_newline_stays_missing() -> None:
    assert three_way(BASE, OURS.rstrip(b"\n") + b"\nmore", BASE.replace(b"import a", b"import b")) == Merged(
        OURS.replace(b"import a", b"import b") + b"more", 0
    )
    assert three_way(BASE, BASE[:-1], BASE.replace(b"import a", b"import b")).data.endswith(b"True")


def test_text_that_is_not_utf_8_is_merged_too() -> None:
    base, ours, theirs = (b"# \xe9\n" + version for version in (BASE, OURS, THEIRS))
    merged = three_way(base, ours, theirs)
    assert merged.conflicts == 0
    assert merged.data.startswith(b"# \xe9\n")


@pytest.mark.parametrize("position", [0, 9000])
def test_binary_files_that_both_changed_are_refused(position: int) -> None:
    binary = b"x" * position + b"\0\n"
    with pytest.raises(NotTextError):
        three_way(BASE, binary, THEIRS)
    assert three_way(binary, binary, THEIRS) == Merged(THEIRS, 0)
    assert three_way(binary, OURS, binary) == Merged(OURS, 0)


@pytest.mark.usefixtures("without_git")
def test_without_git_only_a_real_merge_fails() -> None:
    with pytest.raises(GitMissingError, match="not installed"):
        three_way(BASE, OURS, THEIRS)
    assert three_way(BASE, OURS, BASE) == Merged(OURS, 0)
    assert three_way(BASE, BASE, THEIRS) == Merged(THEIRS, 0)


@pytest.mark.skipif(os.name == "nt", reason="a program that is a shell script")
@pytest.mark.parametrize("code", [1, 127, 255])
def test_a_git_that_only_complains_counts_as_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, code: int
) -> None:
    program = tmp_path / "git"
    program.write_text(f"#!/bin/sh\necho 'install the\ntools' >&2\nexit {code}\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    with pytest.raises(GitMissingError, match="does not work here: install the tools"):
        three_way(BASE, OURS, THEIRS)


def test_neither_a_repository_nor_its_configuration_matters(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    config = tmp_path / "config"
    config.write_text("[merge]\n\tconflictStyle = zdiff3\n[broken")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(config))
    monkeypatch.setenv("GIT_DIR", str(tmp_path / "nowhere"))
    assert three_way(BASE, OURS, THEIRS).conflicts == 0


def test_nothing_is_left_behind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(merging.tempfile, "tempdir", str(tmp_path))
    three_way(BASE, OURS, THEIRS)
    assert list(tmp_path.iterdir()) == []


_texts = st.lists(st.sampled_from([b"a", b"b", b"", b"x = 1", b"\xff", b"a\r"]), max_size=6).flatmap(
    lambda lines: st.sampled_from([b"\n".join(lines), b"\n".join([*lines, b""]), b"\r\n".join([*lines, b""])])
)


@settings(deadline=None)
@given(_texts, _texts)
def test_an_unchanged_side_returns_the_other_byte_for_byte(one: bytes, other: bytes) -> None:
    assert three_way(one, other, one) == Merged(other, 0)
    assert three_way(one, other, other) == Merged(other, 0)
    assert three_way(None, other, other) == Merged(other, 0)
    kept = three_way(one, one, other)
    assert kept.conflicts == 0
    # The user's line ends win, so only they may differ.
    assert kept.data.replace(b"\r\n", b"\n") == other.replace(b"\r\n", b"\n")
    if (b"\r" in one) == (b"\r" in other):
        assert kept.data == other


_lines = st.lists(st.sampled_from([b"a\n", b"b\n", b"\n", b"x = 1\n"]), max_size=5)


@settings(max_examples=40, deadline=None)
@given(_lines, _lines, _lines)
def test_changes_apart_never_conflict_and_sides_are_alike(
    head: list[bytes], tail: list[bytes], new: list[bytes]
) -> None:
    fence = b"".join(b"fence %d\n" % n for n in range(8))
    base = b"old head\n" + fence + b"old tail\n"
    ours = b"".join(head) + fence + b"old tail\n"
    theirs = b"old head\n" + fence + b"".join([*tail, *new])
    expected = Merged(b"".join(head) + fence + b"".join([*tail, *new]), 0)
    assert three_way(base, ours, theirs) == expected
    assert three_way(base, theirs, ours) == expected
