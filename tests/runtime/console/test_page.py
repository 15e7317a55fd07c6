"""The page itself: small, whole, and allowed to do nothing but what it needs."""

from __future__ import annotations

import base64
import hashlib
import re

from falconws.console.page import page

MAX_BYTES = 15_000


def test_the_page_has_at_most_15_kb() -> None:
    content, _ = page()
    assert len(content) <= MAX_BYTES


def test_the_page_refers_to_nothing() -> None:
    text = page()[0].decode()
    assert not re.search(r"(src|href)=\"(?!#)", text)
    assert not re.search(r"@import|url\(|https?:", text)
    assert not re.search(r" (on\w+|style)=", text)


def test_the_policy_has_no_exception() -> None:
    content, policy = page()
    for word in ("unsafe", "*", "http:", "https:", "data:", "blob:"):
        assert word not in policy
    directives = dict(part.split(" ", 1) for part in policy.split("; "))
    assert directives["default-src"] == directives["form-action"] == directives["base-uri"] == "'none'"
    assert directives["frame-ancestors"] == "'none'"
    assert directives["connect-src"] == "'self'"
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        [text] = re.findall(rf"<{tag}>(.+?)</{tag}>", content.decode(), re.DOTALL)
        digest = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert directives[directive] == f"'sha256-{digest}'"


def test_the_script_makes_no_markup_of_text() -> None:
    text = page()[0].decode()
    for unsafe in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "Function("):
        assert unsafe not in text
