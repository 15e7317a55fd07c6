"""The HTTP protocol class to serve with: uvicorn's on httptools if it is installed, else on h11, behind the guard."""

import asyncio
from functools import cache

from falconws.server.http.guard import GuardedHttp
from falconws.server.http.request_context import RequestContext


@cache
def http_protocol_class() -> type[asyncio.Protocol]:
    """Return the HTTP protocol class."""
    try:
        from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
    except ImportError:
        from uvicorn.protocols.http.h11_impl import H11Protocol

        return type("HttpProtocol", (GuardedHttp, RequestContext, H11Protocol), {})
    return type("HttpProtocol", (GuardedHttp, RequestContext, HttpToolsProtocol), {})
