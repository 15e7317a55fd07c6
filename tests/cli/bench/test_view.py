"""What a load test shows."""

import pytest

from falconws_cli.bench.settings import Measurement, Settings
from falconws_cli.bench.view import LiveView


def test_a_look_that_comes_late_shows_no_more_than_the_whole_test(capsys: pytest.CaptureFixture[str]) -> None:
    settings = Settings("127.0.0.1", 80, "/", "localhost", False, False, [], 1, 1, "x", False, 0.0, 1.2, [])
    LiveView(settings, "").tick(1.4, Measurement(0.7, 70, 1, 2, 3, 4, None, 0.1))
    assert capsys.readouterr().out.endswith(f"{'█' * 30} 1.2 of 1.2 s\n")
