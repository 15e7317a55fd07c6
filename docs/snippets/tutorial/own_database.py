"""A fixture of the project."""

from pathlib import Path

import pytest


# start: fixture
@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The environment variables of the tests; those of the process are ignored."""
    return {"DEMO_DATABASE": str(tmp_path / "auction.db")}
    # end: fixture
