"""A template that the build has compiled says exactly what Jinja2 would have said."""

import functools
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jinja2 import meta
from jinja2.utils import htmlsafe_json_dumps

from falconws_cli.templating.compiler import compile_templates
from falconws_cli.templating.functions import FUNCTIONS, json_literal
from falconws_cli.templating.jinja import environment, renderers_of
from falconws_cli.templating.templates import PARTIALS, Template, find_root, read_templates

ROOT = find_root()
TEMPLATES = read_templates([ROOT], [folder.name for folder in ROOT.iterdir() if folder.name != PARTIALS])
SOURCES = {path: template.data.decode() for path, template in TEMPLATES.items()}
KINDS = sorted({path.partition("/")[0] for path in SOURCES} - {PARTIALS})

texts = st.text("ab \"'\\é\n{%", max_size=12) | st.sampled_from(["demo", "chat_room", "a" * 60, "/rooms/{room_id}"])
LISTS = ("parameters", "parameter_imports")


def compiled(kind: str, sources: Mapping[str, str]) -> dict[str, Any]:
    text, left_out = compile_templates(environment(), kind, sources)
    assert left_out == {}
    module: dict[str, Any] = {}
    exec(compile(text, kind, "exec"), module)
    files: dict[str, Any] = module["FILES"]
    return files


def interpreted(sources: Mapping[str, str]) -> dict[str, Any]:
    return renderers_of({path: Template(path, text.encode(), ROOT / path) for path, text in sources.items()}, None)


@pytest.fixture(scope="module", params=KINDS)
def both(request: pytest.FixtureRequest) -> tuple[dict[str, Any], dict[str, Any]]:
    return compiled(request.param, SOURCES), interpreted(SOURCES)


@functools.cache
def names_in(path: str) -> list[str]:
    """Return what the template and those that it includes expect of their context."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [path]
    while left:
        if (one := left.pop()) not in seen:
            seen.add(one)
            tree = environment().parse(SOURCES[one])
            found |= meta.find_undeclared_variables(tree)
            left += [name for name in meta.find_referenced_templates(tree) if name]
    return sorted(found - set(FUNCTIONS))


def test_every_file_of_every_tree_is_compiled(both: tuple[dict[str, Any], dict[str, Any]]) -> None:
    files, _ = both
    kind = next(iter(files)).partition("/")[0]
    assert list(files) == sorted(path for path in SOURCES if path.startswith(f"{kind}/"))
    for path, part in files.items():
        assert part == TEMPLATES[path].data if not path.endswith(".jinja") else callable(part)


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_context_makes_the_same_text(both: tuple[dict[str, Any], dict[str, Any]], data: st.DataObject) -> None:
    files, jinja = both
    for path in (path for path in files if path.endswith(".jinja")):
        # An empty text is what an `if` takes for no.
        drawn = {name: data.draw(st.lists(texts, max_size=4) if name in LISTS else texts) for name in names_in(path)}
        context = {**FUNCTIONS, **drawn}
        assert files[path](context) == jinja[path](context), path


PLAIN = {"name": "demo", "on": True, "off": False, "items": ["a", "b"], "package": "x", "one": 1}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{{ name }}\n",
        "{{ name }}",
        "  {% if on %}\n  yes\n  {% endif %}\nend",
        "{% if off %}a{% elif on %}b{% else %}c{% endif %}",
        "{% if off %}{% endif %}",
        "{% set x = name ~ one %}{{ x }}{{ x | py }}",
        "{% set a, b = name, one %}{{ b }}{{ a }}",
        "{% for item in items %}{{ item }},{% set name = item %}{% endfor %}{{ name }}",
        "{% for a in items %}{% for b in items %}{{ a ~ b }}{% endfor %}{{ a }}{% endfor %}",
        "{% for item in [] %}x{% endfor %}",
        "{{ 'a' if off }}|{{ 'a' if on }}|{{ 'b' if off else name }}",
        "{% set x = 'a' if off %}{{ 'set' if x else 'empty' }}",
        "{{ on and not off or off }}{{ one + 2 * 3 }}{{ one == 1 }}{{ 0 < one <= 1 }}{{ 'a' in items }}",
        "{{ 'b' not in items }}{{ missing is defined }}{{ name is defined }}{{ none is none }}{{ ('a', 'b') }}",
        "{% include 'partials/p' %}{{ inside is defined }}",
        "{% set outer = 1 %}{% include 'partials/p' %}",
        "{% from 'partials/m' import greet, bye as farewell with context %}{{ greet('you', one) }}{{ farewell() }}",
        "{{ bracketed('f(', items, ')', indent=4) }}{{ assignment('x', name | py) }}",
        "{{ name | tojson }}{{ items | tojson }}",
        "{{ missing | default('other') }}{{ name | default('other') }}{{ off | default(name ~ one) }}",
        "{{ name | replace('m', one) }}{{ one | replace(one, name) }}",
        "{# nothing #}{% raw %}{{ name }}{% endraw %}",
        "{%- if on -%}  x  {%- endif -%} y",
    ],
)
def test_what_templates_may_say_means_the_same(text: str) -> None:
    sources = {
        "x/a.jinja": text,
        "partials/p": "{% set inside = 2 %}{{ name }}{{ outer if outer is defined }}",
        "partials/m": "ignored{% macro greet(who, n) %}Hi {{ who }} of {{ name }}{{ n }}{% endmacro %}"
        "{% macro bye() %}Bye{% endmacro %}",
    }
    context = {**FUNCTIONS, **PLAIN}
    assert compiled("x", sources)["x/a.jinja"](context) == interpreted(sources)["x/a.jinja"](context)


@pytest.mark.parametrize(
    "text",
    [
        "{% for item in items %}{{ loop.index }}{% endfor %}",
        "{{ name | upper }}",
        "{{ name.upper() }}",
        "{% extends 'partials/p' %}",
        "{% include name %}",
        "{% include 'partials/nowhere' %}",
        "{% macro m(a=1) %}{% endmacro %}",
        "{% set x %}text{% endset %}",
        "{{ oops",
    ],
)
def test_what_is_not_compiled_is_left_to_jinja(text: str) -> None:
    module, left_out = compile_templates(environment(), "x", {"x/a.jinja": text, "x/b": "plain", "partials/p": ""})
    assert list(left_out) == ["x/a.jinja"]
    made: dict[str, Any] = {}
    exec(module, made)
    assert made["FILES"] == {"x/b": b"plain"}
    assert made["LEFT_OUT"] == ("x/a.jinja",)


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_our_json_is_that_of_jinja(value: object) -> None:
    assert json_literal(value) == str(htmlsafe_json_dumps(value))


def test_a_name_that_is_missing_is_an_error() -> None:
    with pytest.raises(KeyError, match="nowhere"):
        compiled("x", {"x/a.jinja": "{{ nowhere }}"})["x/a.jinja"]({})
