"""A fixture of the project."""

from pathlib import Path

import pytest


# start: fixture
@pytest.fixture(autouse=True)
def own_database(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Give each test a database of its own."""
    monkeypatch.setenv("DEMO_DATABASE", str(tmp_path / "auction.db"))
    # end: fixture
