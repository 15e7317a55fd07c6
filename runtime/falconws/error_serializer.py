"""Writes the body of an HTTP error: JSON, a small HTML page for a browser, or another type that the client asks for.

Falcon's own serializer sends XML to a browser, whose Accept header lists XML, but not JSON. Knows a request and a
response by Falcon's public interface only.
"""

from __future__ import annotations

from html import escape

import falcon
import falcon.app_helpers
import falcon.asgi

__all__ = ("serialize_error",)

_PAGE = """\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<h1>{title}</h1>
{description}"""


def serialize_error(req: falcon.asgi.Request, resp: falcon.asgi.Response, error: falcon.HTTPError) -> None:
    """Set the body of *resp*, as ``App.set_error_serializer()`` expects of a function.

    The client gets HTML if it prefers that to JSON, as browsers do. It gets XML only if it accepts neither of them,
    nor a media type that the application has a handler for. In all other cases the body is what Falcon makes of it.
    """
    handlers = resp.options.media_handlers
    preferred = req.client_prefers(dict.fromkeys((falcon.MEDIA_JSON, *handlers, falcon.MEDIA_HTML)))
    if preferred is None:
        falcon.app_helpers.default_serialize_error(req, resp, error)
        return
    if preferred == falcon.MEDIA_JSON:
        resp.data = error.to_json(handlers.get(falcon.MEDIA_JSON))
    elif preferred in handlers:
        resp.media = error.to_dict()
    else:
        description = f"<p>{escape(error.description)}</p>\n" if error.description else ""
        resp.text = _PAGE.format(title=escape(str(error.title or error.status)), description=description)
        resp.set_header("Content-Security-Policy", "default-src 'none'")
    resp.content_type = preferred
    resp.append_header("Vary", "Accept")
