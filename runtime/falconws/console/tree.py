"""Elements of the page as JSON: ``["p", {"class": "note"}, "text", ...]``. Pure.

The page builds its nodes from them, and never parses HTML: what an application says can only become text.
"""

from __future__ import annotations

from typing import Any

__all__ = ("Tree", "el")

Tree = list[Any]


def el(tag: str, /, *children: Tree | str | None, **attributes: str | bool | None) -> Tree:
    """Return an element. Children that are None and attributes that are None or False are left out.

    In names of attributes ``_`` stands for ``-``; one at the end is dropped, as in ``class_``.
    """
    named = {
        name.rstrip("_").replace("_", "-"): "" if value is True else value
        for name, value in attributes.items()
        if value is not None and value is not False
    }
    return [tag, named, *(child for child in children if child is not None)]
