from typing import Any

import pytest
from service import create_app


@pytest.fixture
def app() -> Any:
    return create_app()
