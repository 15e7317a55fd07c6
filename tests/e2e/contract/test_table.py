"""The table in the docs says what the suite proves."""

from __future__ import annotations

import re
from pathlib import Path

from . import table
from .promises import EXCEPTIONS, PROMISES, SECTIONS
from .servers import ENGINES


def test_the_page_in_the_docs_is_up_to_date() -> None:
    assert table.PAGE.read_text(encoding="utf-8") == table.render(), (
        "run `python -m tests.e2e.contract.table` and commit the result"
    )


def test_every_promise_has_a_test_and_every_test_a_promise() -> None:
    tested: set[str] = set()
    for file in Path(__file__).parent.glob("test_*.py"):
        tested.update(re.findall(r'@pytest\.mark\.promise\("([^"]+)"\)', file.read_text(encoding="utf-8")))
    assert tested == set(PROMISES)


def test_every_exception_is_about_a_known_server_and_promise() -> None:
    engines = {engine.name for engine in ENGINES}
    assert {engine for engine, _ in EXCEPTIONS} <= engines
    assert {promise for _, promise in EXCEPTIONS} <= set(PROMISES)


def test_no_promise_is_listed_twice() -> None:
    assert sum(len(section) for section in SECTIONS.values()) == len(PROMISES)
