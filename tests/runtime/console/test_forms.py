"""Fields of forms: from a JSON Schema to what a person can fill in."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from falconws.console.forms import field, fields_of
from falconws.console.tree import Tree, el

SCHEMAS = {
    "Point": {"type": "object", "properties": {"x": {"type": "integer"}}, "required": ["x"]},
    "Colour": {"enum": ["red", "blue"]},
}


def nodes(tree: Tree | str) -> Iterator[Tree]:
    if isinstance(tree, list):
        yield tree
        for child in tree[2:]:
            yield from nodes(child)


def control(tree: Tree) -> Tree:
    return next(node for node in nodes(tree) if node[0] in ("input", "select", "textarea"))


def text_of(tree: Tree | str) -> str:
    return tree if isinstance(tree, str) else "".join(map(text_of, tree[2:]))


def field_for(schema: dict[str, Any], *, required: bool = True) -> Tree:
    whole = {"type": "object", "properties": {"value": schema}, "required": ["value"] if required else []}
    [found] = fields_of(whole, SCHEMAS, "form")
    return found


def test_elements_leave_out_what_is_none() -> None:
    assert el("p", "a", None, ["b", {}], class_="c", data_x=None, hidden=True, disabled=False, aria_label="d") == [
        "p",
        {"class": "c", "hidden": "", "aria-label": "d"},
        "a",
        ["b", {}],
    ]


@pytest.mark.parametrize(
    ("schema", "tag", "kind"),
    [
        ({"type": "string"}, "input", "text"),
        ({"type": "integer", "minimum": 1}, "input", "json"),
        ({"type": "number"}, "input", "json"),
        ({"type": "boolean"}, "select", "json"),
        ({"enum": ["a", "b"]}, "select", "json"),
        ({"type": "string", "const": "a"}, "select", "json"),
        ({"$ref": "#/components/schemas/Colour"}, "select", "json"),
        ({"$ref": "#/components/schemas/Point"}, "textarea", "json"),
        ({"type": "array", "items": {"type": "string"}}, "textarea", "json"),
        ({"anyOf": [{"type": "string"}, {"type": "null"}]}, "input", "text"),
        ({"anyOf": [{"$ref": "#/components/schemas/Colour"}, {"type": "null"}]}, "select", "json"),
        ({"anyOf": [{"type": "string"}, {"type": "integer"}]}, "textarea", "json"),
        ({}, "textarea", "json"),
    ],
)
def test_each_schema_has_its_control(schema: dict[str, Any], tag: str, kind: str) -> None:
    found = control(field_for(schema))
    assert (found[0], found[1]["data-kind"]) == (tag, kind)


def test_what_people_read_is_tied_to_the_control() -> None:
    tree = field_for({"type": "string", "minLength": 1, "description": "What you say"})
    found = control(tree)
    [label] = [node for node in nodes(tree) if node[0] == "label"]
    assert label[1]["for"] == found[1]["id"]
    ids = {node[1]["id"]: text_of(node) for node in nodes(tree) if node[0] == "small" and "id" in node[1]}
    hint, error = found[1]["aria-describedby"].split()
    assert ids[hint] == "string, at least 1 character. What you say"
    assert ids[error] == ""


def test_the_page_checks_nothing_itself() -> None:
    attributes = control(field_for({"type": "string", "minLength": 1, "maxLength": 5, "pattern": "a+"}))[1]
    assert not {"required", "minlength", "maxlength", "pattern", "type"} & attributes.keys()


@pytest.mark.parametrize(
    ("schema", "required", "value"),
    [
        ({"type": "string", "examples": ["two words"]}, True, "two words"),
        ({"type": "string", "format": "date-time"}, True, "2030-01-31T12:00:00Z"),
        ({"type": "string", "format": "date-time"}, False, ""),
        ({"type": "string", "format": "date", "examples": ["2031-02-28"]}, True, "2031-02-28"),
        ({"type": "string", "minLength": 3}, True, ""),
        ({"type": "string", "examples": ["two words"]}, False, ""),
        ({"type": "integer", "minimum": 5}, True, "5"),
        ({"type": "integer", "minimum": 5, "default": 7}, False, ""),
    ],
)
def test_a_required_field_begins_with_an_example(schema: dict[str, Any], required: bool, value: str) -> None:
    assert control(field_for(schema, required=required))[1]["value"] == value


def test_an_object_begins_with_an_example_too() -> None:
    assert text_of(control(field_for({"$ref": "#/components/schemas/Point"}))) == '{"x": 0}'


def test_an_optional_field_says_so_and_null_is_not_shown() -> None:
    tree = field_for({"anyOf": [{"type": "integer", "minimum": 1}, {"type": "null"}], "default": None}, required=False)
    assert "value optional" in text_of(tree)
    assert "null" not in text_of(tree)
    assert "integer, from 1" in text_of(tree)


def test_what_the_page_fills_in_has_no_field() -> None:
    schema = {"properties": {"type": {"const": "say"}, "id": {"type": "integer"}, "text": {"type": "string"}}}
    assert [control(tree)[1]["name"] for tree in fields_of(schema, {}, "form")] == ["text"]
    assert len(fields_of(schema, {}, "form", place="query")) == 3


def test_the_choices_of_a_select_begin_with_none() -> None:
    tree = control(field("id", "name", choices=["a", "b"], value="b"))
    assert [(text_of(option), option[1]) for option in tree[2:]] == [("", {}), ("a", {}), ("b", {"selected": ""})]
