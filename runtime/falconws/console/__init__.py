"""The console: a page on which a developer talks to each WebSocket of the application.

`falconws serve --reload` puts it around the application (see `mount`), which need not know of it. Nothing loads it
otherwise.
"""

from __future__ import annotations

__all__ = ("EXTENSION", "PATH")

PATH = "/_falconws/"
"""Everything of the console is below this path."""

EXTENSION = "falconws.console"
"""The ASGI extension of each request for which there is a console: an application can show more to its developers."""
