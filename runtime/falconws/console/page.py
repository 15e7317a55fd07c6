"""The page: one HTML document with its style and script in it, and the policy that allows nothing else.

The three are files of their own in this folder. Indentation and comments are left out of what is sent.
Must not know the application.
"""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files

__all__ = ("page",)


@cache
def page() -> tuple[bytes, str]:
    """Return the page, and its Content-Security-Policy: the hash of the style, that of the script, and its own origin.

    Source: https://www.w3.org/TR/CSP3/
    """
    folder = files(__package__)
    html, style, script = (
        _without_comments((folder / f"page.{suffix}").read_text(encoding="utf-8")) for suffix in ("html", "css", "js")
    )
    style = re.sub(r"\s*([{};,])\s*|(:)\s+", r"\1\2", style)
    script = re.sub(r"([;{,(])\n", r"\1", script)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "connect-src 'self'",
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
            "trusted-types 'none'",
        )
    )
    whole = html.replace("<style></style>", f"<style>{style}</style>").replace(
        "<script></script>", f"<script>{script}</script>"
    )
    return whole.encode(), policy


def _without_comments(text: str) -> str:
    """Return *text* without indentation, blank lines, and lines that are a comment."""
    lines = (line.strip() for line in text.splitlines())
    return "\n".join(line for line in lines if line and not line.startswith(("//", "/*", "<!--")))


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
