"""`falconws publish`: what is refused before a broker is asked; the rest needs one, and is in tests/e2e/hub."""

from collections.abc import Callable
from pathlib import Path

import click.testing
import pytest


@pytest.mark.parametrize("message", ["NaN", '{"share": -Infinity}', "{"])
def test_what_browsers_cannot_parse_is_no_json(run: Callable[..., click.testing.Result], message: str) -> None:
    result = run("publish", "room", message, "--json", "--url", "redis://localhost")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: MESSAGE is not JSON: ")
    assert result.stderr.count("\n") == 1


@pytest.fixture
def settings(tmp_path: Path, run: Callable[..., click.testing.Result], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The settings of a project with a hub, in an environment that says nothing of a broker."""
    for name in ("FALCONWS_HUB_URL", "DEMO_HUB_URL"):
        monkeypatch.delenv(name, raising=False)
    assert run("new", "demo", "--with", "redis").exit_code == 0
    return tmp_path / "demo" / "demo" / "settings.py"


def test_in_a_project_the_default_of_its_settings_names_the_broker(
    run: Callable[..., click.testing.Result], settings: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # URLs that are refused before anybody is asked: what counts is which of them it is.
    text = settings.read_text()
    assert text.count('"redis://127.0.0.1:6379"') == 1
    settings.write_text(text.replace("redis://127.0.0.1:6379", "pigeon://loft"))
    assert "no broker for pigeon://loft" in run("publish", "room", "x", cwd="demo").stderr
    settings.write_text(text.replace("redis://127.0.0.1:6379", "memory://"))
    result = run("publish", "room", "x", cwd="demo")
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: hub_url in demo/settings.py is memory://, which only")
    monkeypatch.setenv("DEMO_HUB_URL", "raven://tower")
    assert "no broker for raven://tower" in run("publish", "room", "x", cwd="demo").stderr


@pytest.mark.parametrize(
    "source", ["class Settings:\n    hub_url: str = read()\n", "def (", "hub_url: str = 'redis://x'"]
)
def test_what_the_settings_do_not_say_is_asked_for(
    run: Callable[..., click.testing.Result], settings: Path, source: str
) -> None:
    settings.write_text(source)
    result = run("publish", "room", "x", cwd="demo")
    assert (result.exit_code, result.stderr) == (
        2,
        "Error: No broker is configured: use --url, or set FALCONWS_HUB_URL or DEMO_HUB_URL.\n",
    )
