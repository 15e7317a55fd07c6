"""The HTTP protocol class to serve with. Knows which parser it is built on, but not how that works."""

import asyncio


def http_protocol_class() -> type[asyncio.Protocol]:
    """Return the HTTP protocol class to serve with: on httptools if it is installed, else on h11."""
    try:
        from falconws.server.http import on_httptools as parser
    except ImportError:
        from falconws.server.http import on_h11 as parser  # type: ignore[no-redef]
    return parser.HttpProtocol
