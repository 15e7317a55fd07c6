from typing import Any

import falcon.asgi
import falcon.testing
import pytest
from falcon.routing import CompiledRouter
from hypothesis import given
from hypothesis import strategies as st

from falconws_cli.errors import RefusedError
from falconws_cli.source.uritemplate import CONVERTERS, find_conflict, matches, parse_uri_template


class Resource:
    async def on_get(self, req: Any, resp: Any, **params: Any) -> None:
        pass


def falcon_accepts(*templates: str) -> bool:
    router = CompiledRouter()
    try:
        for template in templates:
            router.add_route(template, Resource(), _asgi=True)
        router.find("/")
    except Exception:
        return False
    return True


_names = st.sampled_from(["a", "b", "room_id", "2x", "class", "", "a-b", "x y"])
_kinds = st.sampled_from(["", ":int", ":uuid", ":path", ":float", ":dt", ":nope", ":"])
_fields = st.builds("{{{}{}}}".format, _names, _kinds)
_segments = st.lists(st.one_of(_fields, st.sampled_from(["x", "rooms", ".", "-", ""])), max_size=3).map("".join)
_templates = st.lists(_segments, min_size=1, max_size=4).map(lambda parts: "/" + "/".join(parts))

_good_segments = st.sampled_from(
    ["rooms", "x", "{a}", "{b}", "{a:int}", "{a:uuid}", "v{a}", "{a}.{b}", "{b}.{a}", "a{b}c"]
)
_good_templates = st.lists(_good_segments, min_size=1, max_size=3).map(lambda parts: "/" + "/".join(parts))


@given(_templates)
def test_what_is_accepted_falcon_accepts(template: str) -> None:
    try:
        parse_uri_template(template)
    except RefusedError:
        return
    assert falcon_accepts(template)


@given(_templates)
def test_what_falcon_refuses_is_refused(template: str) -> None:
    if not falcon_accepts(template):
        with pytest.raises(RefusedError, match="is refused: "):
            parse_uri_template(template)


@given(_good_templates, st.lists(_good_templates, max_size=3))
def test_a_conflict_is_found_where_falcon_finds_one(template: str, others: list[str]) -> None:
    if not falcon_accepts(template) or not falcon_accepts(*others):
        return
    conflict = find_conflict(template, others)
    if template in others:
        assert conflict is not None
    else:
        assert (conflict is None) == falcon_accepts(*others, template)


@pytest.mark.parametrize(
    "template",
    [
        "rooms",
        "",
        "//",
        "/a//b",
        "/a/",
        "/a b",
        "/{a",
        "/a}",
        "/{}",
        "/{2x}",
        "/{class}",
        "/{a}/{a}",
        "/{a:}",
        "/{a:nope}",
        "/{a:int(2)}",
        "/{a:path}/b",
        "/x{a:path}",
        "/{req}",
        "/{self}",
        '/"quoted"',
        "/back\\slash",
        "/what?",
        "/ü",
        "/a\n",
    ],
)
def test_a_template_that_cannot_work_is_refused(template: str) -> None:
    with pytest.raises(RefusedError, match="is refused: "):
        parse_uri_template(template)


@pytest.mark.parametrize("kind", [None, *CONVERTERS])
async def test_the_annotation_is_the_type_that_falcon_hands_over(kind: str | None) -> None:
    template = parse_uri_template("/x/{value}" if kind is None else f"/x/{{value:{kind}}}")
    seen: list[object] = []

    class Recorder:
        async def on_get(self, req: Any, resp: Any, value: object) -> None:
            seen.append(value)

    app: Any = falcon.asgi.App()
    app.add_route(template.text, Recorder())
    async with falcon.testing.ASGIConductor(app) as conductor:
        assert (await conductor.simulate_get(template.example)).status_code == 200
    assert type(seen[0]).__name__ == template.fields[0].type.annotation


@pytest.mark.parametrize(
    "template",
    ["/", "/echo", "/items/{item_id}/bids", "/a.b/{n:int}", "/{x:uuid}/{y:dt}", "/v{major:int}-{name}", "/{rest:path}"],
)
@pytest.mark.parametrize("path", ["/", "/echo", "/items/9/bids", "/items/9", "/axb/7", "/a.b/7", "/a.b/x", "/v1-x"])
def test_a_path_matches_the_routes_that_falcon_finds_for_it(template: str, path: str) -> None:
    router = CompiledRouter()
    router.add_route(template, Resource(), _asgi=True)
    assert matches(template, path) == (router.find(path) is not None)
    assert matches(template, parse_uri_template(template).example)
