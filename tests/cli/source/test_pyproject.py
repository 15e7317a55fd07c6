import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from falconws_cli.errors import CommandError
from falconws_cli.source.pyproject import edit_pyproject, remove_from_pyproject

TEXT = """\
# The project.
[project]
name = "demo"   # its name
dependencies = [
    "falconws>=0.1",  # the runtime
]

[tool.ruff]
line-length = 100
"""


def test_a_dependency_is_added_once_and_everything_else_stays() -> None:
    edited = edit_pyproject(TEXT, dependencies=["orjson>=3.10"])
    assert edited == TEXT.replace("  # the runtime\n", '  # the runtime\n    "orjson>=3.10",\n')
    assert edit_pyproject(edited, dependencies=["orjson>=3.10"]) == edited


@pytest.mark.parametrize("present", ["msgpack==1.0", "MsgPack", "msgpack [x] ; python_version > '3'"])
def test_a_requirement_that_the_project_has_is_left_alone(present: str) -> None:
    text = TEXT.replace("falconws>=0.1", present)
    assert edit_pyproject(text, dependencies=["msgpack>=1.0.8"]) == text


def test_what_a_compiled_module_needs_is_configured_once() -> None:
    def edit(text: str) -> str:
        return edit_pyproject(
            text,
            dependencies=["protobuf>=5"],
            dev_dependencies=["types-protobuf"],
            untyped_modules=["msgpack"],
            unformatted_files=["*_pb2.py*"],
        )

    document = tomllib.loads(edit(TEXT))
    assert document["project"]["dependencies"] == ["falconws>=0.1", "protobuf>=5"]
    assert document["project"]["optional-dependencies"] == {"dev": ["types-protobuf"]}
    assert document["tool"]["ruff"] == {"line-length": 100, "extend-exclude": ["*_pb2.py*"]}
    assert document["tool"]["mypy"]["overrides"] == [{"module": "msgpack", "ignore_missing_imports": True}]
    assert edit(edit(TEXT)) == edit(TEXT)


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_a_new_table_has_blank_lines_on_both_sides(newline: str) -> None:
    before, after = "[tool.mypy]\nstrict = true\n", "[tool.ruff]\nline-length = 100\n"
    table = '[[tool.mypy.overrides]]\nmodule = "{}"\nignore_missing_imports = true\n'
    text = f'[project]\nname = "demo"\n\n{before}\n{after}'.replace("\n", newline)
    modules = ["msgpack", "cbor2"]
    edited = edit_pyproject(text, untyped_modules=modules)
    tables = "\n".join([before, *map(table.format, modules), after])
    assert edited == f'[project]\nname = "demo"\n\n{tables}'.replace("\n", newline)
    assert edit_pyproject(edited, untyped_modules=modules) == edited
    assert remove_from_pyproject(edited, untyped_modules=modules) == text


@pytest.mark.parametrize(
    ("requirement", "extended"),
    [
        ('"falconws>=0.3,<0.4"', '"falconws[typed]>=0.3,<0.4"'),
        ("'falconws ~= 0.3',  # the runtime", "'falconws[typed] ~= 0.3',  # the runtime"),
        ('"Falconws[redis]==0.3.0"', '"Falconws[redis,typed]==0.3.0"'),
    ],
)
def test_an_extra_is_added_to_a_requirement_with_a_version(requirement: str, extended: str) -> None:
    text = f'[project]\nname = "demo"\ndependencies = [\n    "attrs",\n    {requirement}\n]\n'
    edited = edit_pyproject(text, dependencies=["falconws[typed]"])
    assert edited == text.replace(requirement, extended)
    assert edit_pyproject(edited, dependencies=["falconws[typed]"]) == edited
    assert remove_from_pyproject(edited, dependencies=["falconws[typed]"]) == text


@pytest.mark.parametrize("requirement", ["falconws", "falconws>=0.3; python_version > '3'", "falconws @ file:///x"])
def test_an_extra_is_a_requirement_of_its_own_beside_any_other(requirement: str) -> None:
    text = f'[project]\ndependencies = [\n    "{requirement}",\n]\n'
    edited = edit_pyproject(text, dependencies=["falconws[typed]"])
    assert tomllib.loads(edited)["project"]["dependencies"] == [requirement, "falconws[typed]"]
    assert remove_from_pyproject(edited, dependencies=["falconws[typed]"]) == text


@pytest.mark.parametrize(("text", "problem"), [("[project", "Cannot edit"), ("", "no \\[project\\] table")])
def test_a_file_that_is_no_pyproject_is_refused(text: str, problem: str) -> None:
    with pytest.raises(CommandError, match=problem):
        edit_pyproject(text, dependencies=["x"])


@settings(deadline=None)
@given(st.lists(st.sampled_from(["a", "b>=1", "c-d", "C_D", "e[f]"]), max_size=6))
def test_editing_is_idempotent_and_keeps_what_was_there(requirements: list[str]) -> None:
    edited = edit_pyproject(TEXT, dependencies=requirements)
    assert edit_pyproject(edited, dependencies=requirements) == edited
    names = tomllib.loads(edited)["project"]["dependencies"]
    assert names[0] == "falconws>=0.1"
    assert len(names) == len({name.lower().replace("_", "-") for name in names})


_PROJECTS = st.sampled_from(
    [
        '[project]\nname = "demo"\ndependencies = []\n',
        '[project]\nname = "demo"\ndependencies = ["falconws>=0.1"]  # one\n',
        "[project]\ndependencies = ['falconws>=0.1', 'attrs']\n",
        '[project]\ndependencies = [\n    "falconws>=0.1",\n    # the end\n]\n',
        '[project]\ndependencies = [\n  "falconws>=0.1"\n]\n',
        '[project]\ndependencies = [\n    "falconws>=0.1",  # the runtime\n]\nname = "demo"\n',
    ]
)
_REST = st.lists(
    st.sampled_from(
        [
            "\n[tool.ruff]\nline-length = 100\n",
            '\n[tool.mypy]\nstrict = true\n\n[[tool.mypy.overrides]]\nmodule = "x"\nignore_missing_imports = true\n',
            '\n[tool.other]\n# "msgpack"\n',
        ]
    ),
    max_size=4,
    unique=True,
)
_ADDITIONS = st.fixed_dictionaries(
    {},
    optional={
        "dependencies": st.just(["msgpack>=1.0.8"]),
        "dev_dependencies": st.just(["types-protobuf"]),
        "untyped_modules": st.just(["msgpack"]),
        "unformatted_files": st.just(["*_pb2.py*"]),
    },
)


@settings(max_examples=60, deadline=None)
@given(_PROJECTS, _REST, _ADDITIONS, st.booleans())
def test_what_was_added_can_be_removed_without_a_trace(
    project: str, rest: list[str], additions: dict[str, list[str]], windows: bool
) -> None:
    # Where tomlkit puts a new table between others, it is not told where their blank lines were.
    extras = '\n[project.optional-dependencies]\ndev = [\n    "mypy>=1.18",\n]\n'
    text = project + extras + "".join(rest)
    if windows:
        text = text.replace("\n", "\r\n")
    edited = edit_pyproject(text, **additions)
    assert remove_from_pyproject(edited, **additions) == text
    assert edited.count("\n") == edited.count("\r\n") or not windows


def test_what_was_changed_since_stays() -> None:
    text = edit_pyproject(TEXT, dependencies=["orjson>=3.10"]).replace("orjson>=3.10", "orjson==3.11")
    assert remove_from_pyproject(text, dependencies=["orjson>=3.10"]) == text
    assert remove_from_pyproject(TEXT, dependencies=["falconws"], untyped_modules=["x"]) == TEXT


def test_what_was_added_is_removed_from_between_the_others() -> None:
    text = TEXT.replace("  # the runtime\n", '  # the runtime\n    "orjson>=3.10",  # fast\n    "attrs",  # mine\n')
    expected = TEXT.replace("  # the runtime\n", '  # the runtime\n    "attrs",  # mine\n')
    assert remove_from_pyproject(text, dependencies=["orjson>=3.10"]) == expected
    one_line = '[project]\ndependencies = ["a", "orjson>=3.10", "b"]\n'
    assert remove_from_pyproject(one_line, dependencies=["orjson>=3.10"]) == '[project]\ndependencies = ["a", "b"]\n'
