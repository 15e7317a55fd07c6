"""The pages are plain English: the house rules, which a linter for everybody's prose does not know."""

import re
from pathlib import Path

import pytest

from tests.docs.blocks import page_paths

ROOT = Path(__file__).parents[2]
PAGES = [*page_paths(), *(ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"))]

_START = r"(?:^|[.:;|] )"
RULES = {
    _START + r"(?:Know|Note) that\b": "say it without this order",
    r"\b[Ss]ee to it\b": 'name the action: "set the timeout to ..."',
    _START + r"Who (?:does|has|is|wants|reads|leaves|needs)\b(?![^.|]*\?)": 'use a noun: "clients that ..."',
    r"\b(?:is|are) none\b": 'say what is missing: "there is no ..."',
    r"\bbut for\b": '"except for"',
    r"\b(?:tell|tells|told) so\b": '"say so"',
    r"\b(?:gaps?|losses|messages|rooms?|it|that|which) (?:is|are) told\b": '"is reported"',
    r"\bparted from\b": '"disconnected"',
    r"\btaken back\b": '"reverted" or "removed"',
    r"\band (?:its|their|the) like\b": "list what is meant",
    r"\bno (?:\w+ ){1,4}any more\b": '"no longer a ..."',
    r"\bstands? apart\b": '"is separate"',
    r"\bof (?:just|only) (?:this|that)\b": '"with exactly this"',
}
"""What no page says, and what to write instead."""


def prose(text: str) -> str:
    """Return a page without its code, comments and the addresses of its links."""
    for pattern in (r"^(`{3,}).*?^\1$", r"<!--.*?-->", r"`[^`]+`", r"\]\([^)]*\)"):
        text = re.sub(pattern, "", text, flags=re.DOTALL | re.MULTILINE)
    return text


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_the_prose_of_a_page_is_plain(page: Path) -> None:
    text = " ".join(prose(page.read_text(encoding="utf-8")).split())
    found = [f'"{match[0].strip()}": {instead}' for rule, instead in RULES.items() for match in re.finditer(rule, text)]
    assert found == []
