"""The benchmark of the console works. No test asserts a time."""

import re

import pytest

from tests.benchmarks import console


@pytest.mark.skipif(console.CHROMIUM is None, reason="there is no Chromium here")
def test_a_round_is_measured(capsys: pytest.CaptureFixture[str]) -> None:
    assert console.main(["1"]) == 0
    assert re.match(r"1 rounds: median \d+ ms, fastest \d+, slowest \d+; ", capsys.readouterr().out)
