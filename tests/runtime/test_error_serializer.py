"""The body of an HTTP error: which media type a client gets, and what is in it."""

import json
from html.parser import HTMLParser
from typing import Any

import falcon
import falcon.media
import falcon.testing
import pytest

import falconws
from falconws.testing import Client

BROWSERS = {
    "chromium": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8,"
    "application/signed-exchange;v=b3;q=0.7",
    "firefox": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "safari": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    "older firefox": "text/html,application/xhtml+xml,application/xml;q=0.9,image/webp,*/*;q=0.8",
}


class Failing:
    async def on_get(self, req: falconws.Request, resp: Any) -> None:
        raise falcon.HTTPForbidden(title="Not <you>", description='Say "please" & <script>alert(1)</script>')


def app_of(**kwargs: Any) -> falconws.App:
    app = falconws.App(**kwargs)
    app.add_route("/failing", Failing())
    return app


async def get(app: falconws.App, accept: str | None, path: str = "/failing") -> falcon.testing.Result:
    async with Client(app) as client:
        headers = {} if accept is None else {"Accept": accept}
        result: falcon.testing.Result = await client.get(path, headers=headers)
        return result


@pytest.mark.parametrize("accept", BROWSERS.values(), ids=BROWSERS)
async def test_a_browser_gets_a_page(accept: str) -> None:
    result = await get(app_of(), accept, "/nowhere")
    assert result.status_code == 404
    assert result.headers["content-type"].partition(";")[0] == "text/html"
    assert "<h1>404 Not Found</h1>" in result.text
    assert result.headers["vary"] == "Accept"


async def test_what_a_page_says_is_text() -> None:
    tags: list[str] = []
    texts: list[str] = []

    class Reader(HTMLParser):
        def handle_starttag(self, tag: str, attrs: Any) -> None:
            tags.append(tag)

        def handle_data(self, data: str) -> None:
            texts.append(data)

    result = await get(app_of(), "text/html")
    Reader().feed(result.text)
    assert set(tags) == {"html", "meta", "title", "h1", "p"}
    assert [text for text in texts if text.strip()] == [
        "Not <you>",
        "Not <you>",
        'Say "please" & <script>alert(1)</script>',
    ]
    assert result.headers["content-security-policy"] == "default-src 'none'"


@pytest.mark.parametrize(
    "accept",
    [
        None,
        "*/*",
        "application/json",
        "application/json, text/plain, */*",
        "application/json, text/html",
        "application/xml, application/json;q=0.5",
        "application/xml, */*;q=0.1",
        "application/*",
    ],
)
async def test_anything_else_gets_json(accept: str | None) -> None:
    result = await get(app_of(), accept)
    assert result.headers["content-type"] == "application/json"
    assert result.json["title"] == "Not <you>"


@pytest.mark.parametrize("accept", ["application/xml", "text/xml", "application/soap+xml"])
async def test_a_client_that_accepts_xml_alone_gets_it(accept: str) -> None:
    result = await get(app_of(), accept)
    assert result.text.startswith("<?xml")


async def test_a_media_type_of_the_application_is_used_as_falcon_does() -> None:
    app = app_of()
    app.resp_options.media_handlers["application/x-thing"] = falcon.media.JSONHandler()
    result = await get(app, "application/x-thing")
    assert result.headers["content-type"] == "application/x-thing"
    assert json.loads(result.content)["title"] == "Not <you>"


async def test_the_json_handler_of_the_application_makes_the_json() -> None:
    app = app_of()
    app.resp_options.media_handlers[falcon.MEDIA_JSON] = falcon.media.JSONHandler(
        dumps=lambda media: json.dumps(media, indent=1)
    )
    assert (await get(app, "application/json")).text.startswith("{\n")


async def test_an_image_is_no_reason_for_a_body() -> None:
    assert (await get(app_of(), "image/png")).content == b""


async def test_the_applications_own_serializer_wins() -> None:
    app = app_of()

    def serialize(req: Any, resp: Any, error: falcon.HTTPError) -> None:
        resp.text = "mine"

    app.set_error_serializer(serialize)
    assert (await get(app, BROWSERS["firefox"])).text == "mine"
