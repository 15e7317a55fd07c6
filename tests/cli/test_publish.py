"""`falconws publish`: what is refused before a broker is asked; the rest needs one, and is in tests/e2e/hub."""

from collections.abc import Callable

import click.testing
import pytest


@pytest.mark.parametrize("message", ["NaN", '{"share": -Infinity}', "{"])
def test_what_browsers_cannot_parse_is_no_json(run: Callable[..., click.testing.Result], message: str) -> None:
    result = run("publish", "room", message, "--json", "--url", "redis://localhost")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: MESSAGE is not JSON: ")
    assert result.stderr.count("\n") == 1
