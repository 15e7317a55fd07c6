"""Functions and filters of templates."""

from hypothesis import given
from hypothesis import strategies as st
from jinja2.utils import htmlsafe_json_dumps

from falconws_cli.templating.filters import json_literal


@given(st.recursive(st.none() | st.booleans() | st.text(), lambda inner: st.lists(inner, max_size=3)))
def test_json_is_that_of_jinja(value: object) -> None:
    assert json_literal(value) == str(htmlsafe_json_dumps(value))
