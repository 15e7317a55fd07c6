"""Names that are spelled alike."""

import string

from hypothesis import given
from hypothesis import strategies as st

from falconws_cli.suggestions import did_you_mean

WORDS = st.text(string.ascii_letters + "-", min_size=5, max_size=20)


def test_the_nearest_come_first() -> None:
    assert did_you_mean("ecko", ["echo", "health"]) == ' Did you mean "echo"?'
    assert did_you_mean("add", ["add-b", "add-a"]) in (
        ' Did you mean "add-a" or "add-b"?',
        ' Did you mean "add-b" or "add-a"?',
    )


def test_nothing_alike_is_nothing_said() -> None:
    assert did_you_mean("xyzzy", ["echo", "health"]) == ""
    assert did_you_mean("echo", []) == ""


@given(WORDS, st.data())
def test_one_letter_left_out_is_no_obstacle(word: str, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(word) - 1))
    assert f'"{word}"' in did_you_mean(word[:at] + word[at + 1 :], [word, "0000"])


@given(WORDS)
def test_case_is_no_difference(word: str) -> None:
    assert did_you_mean(word.swapcase(), [word]) == f' Did you mean "{word}"?'
