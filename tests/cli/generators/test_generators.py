"""Recipes: checked once, rendered as often as one likes."""

from pathlib import Path, PurePosixPath

import click.testing
import pytest

from falconws_cli import generators
from falconws_cli.change.plan import Recipe
from falconws_cli.change.writer import Status, commit, compare
from falconws_cli.errors import CommandError, RefusedError
from falconws_cli.main import cli
from falconws_cli.project import Project, require_project
from falconws_cli.source.register.result import RegisterOutcome
from falconws_cli.source.registration import JsonValue

RECIPES: list[tuple[str, dict[str, JsonValue]]] = [
    ("resource", {"route": "/rooms/{room_id}", "pattern": "duplex", "subprotocol": "chat", "http": False}),
    ("resource", {"pattern": "room", "typed": True}),
    ("resource", {"pattern": "feed", "typed": True, "http": False}),
    ("middleware", {"kind": "token-auth"}),
    ("media-handler", {"payload": "binary", "codec": "msgpack"}),
    ("media-handler", {"payload": "binary", "codec": "protobuf"}),
]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    monkeypatch.chdir(tmp_path)
    assert click.testing.CliRunner().invoke(cli, ["new", "demo"]).exit_code == 0
    return require_project(tmp_path / "demo")


@pytest.mark.parametrize(("kind", "options"), RECIPES)
def test_a_recipe_renders_again_what_is_there(project: Project, kind: str, options: dict[str, JsonValue]) -> None:
    plan = generators.plan(project, kind, "chat room", options)
    commit(project.root, plan.files)
    assert plan.recipe is not None
    assert (plan.recipe.generator, plan.recipe.name) == (kind, "chat-room")
    again = generators.make_again(project, plan.recipe).files
    assert {file.path for file in again} == plan.generated
    assert {compare(project.root, file) for file in again} == {Status.IDENTICAL}
    # A recorded recipe is not asked whether its name, its route or its payload is taken.
    other = Recipe(kind, "other-room", plan.recipe.options)
    assert generators.make_again(project, other).files


def test_the_project_itself_has_a_recipe(project: Project) -> None:
    again = generators.make_again(project, Recipe("project", "demo")).files
    assert PurePosixPath("demo/app.py") in {file.path for file in again}
    # The first resource's route is registered in it.
    assert {file.path for file in again if compare(project.root, file) is not Status.IDENTICAL} == {
        PurePosixPath("demo/routes.py")
    }


@pytest.mark.parametrize("name", ["chat room resource resource", "ChatRoom2", "a 2"])
def test_a_recorded_name_means_the_files_of_the_typed_one(project: Project, name: str) -> None:
    plan = generators.plan(project, "resource", name, {})
    assert plan.recipe is not None
    assert {file.path for file in generators.make_again(project, plan.recipe).files} == plan.generated


@pytest.mark.parametrize(("kind", "options"), RECIPES)
def test_a_wiring_registers_once(project: Project, kind: str, options: dict[str, JsonValue]) -> None:
    plan = generators.plan(project, kind, "chat room", options)
    commit(project.root, plan.files)
    for planned in plan.registrations:
        assert planned.registration.outcome is RegisterOutcome.REGISTERED
        assert planned.spec is not None
        text = (project.root / planned.path).read_text()
        assert planned.spec.register(text).outcome is RegisterOutcome.ALREADY


def test_only_what_was_missing_in_pyproject_counts_as_added(project: Project) -> None:
    pyproject = project.root / "pyproject.toml"
    text = pyproject.read_text()
    pyproject.write_text(text.replace("dependencies = [", 'dependencies = [\n    "protobuf",', 1))
    plan = generators.plan(project, "media-handler", "orders", {"payload": "binary", "codec": "protobuf"})
    assert plan.added.dependencies == ()
    assert plan.added.dev_dependencies == ("types-protobuf",)
    assert plan.added.unformatted_files == ("*_pb2.py*",)
    assert plan.notes == ()


def test_an_unknown_generator_and_a_bad_option_are_refused(project: Project) -> None:
    with pytest.raises(CommandError, match="install the package"):
        generators.find_generator("graphql")
    with pytest.raises(RefusedError, match="cannot be a subprotocol"):
        generators.plan(project, "resource", "chat", {"subprotocol": "a b"})


@pytest.mark.parametrize("pattern", ["echo", "blank", "http"])
def test_a_pattern_without_messages_cannot_be_typed(project: Project, pattern: str) -> None:
    with pytest.raises(
        RefusedError, match=f"The pattern {pattern} has no messages to declare: use --typed with one of"
    ):
        generators.plan(project, "resource", "chat", {"pattern": pattern, "typed": True})


@pytest.mark.parametrize(
    ("pattern", "name"), [("room", "said"), ("room", "path"), ("feed", "tick"), ("duplex", "Note")]
)
def test_a_conversation_cannot_have_the_name_of_a_message(project: Project, pattern: str, name: str) -> None:
    with pytest.raises(RefusedError, match="is a name in its modules already; choose another name"):
        generators.plan(project, "resource", name, {"pattern": pattern, "typed": True})


@pytest.mark.parametrize("pattern", ["echo", "request-response", "feed", "duplex", "blank", "http"])
@pytest.mark.parametrize(("page", "flag"), [(True, "--page"), (False, "--no-page")])
def test_a_pattern_without_a_page_refuses_the_options_of_pages(
    project: Project, pattern: str, page: bool, flag: str
) -> None:
    with pytest.raises(
        RefusedError, match=f"The pattern {pattern} has no page: leave out {flag}; only the pattern room"
    ):
        generators.plan(project, "resource", "chat", {"pattern": pattern, "page": page})


def test_typed_messages_require_the_extra_once(project: Project) -> None:
    plan = generators.plan(project, "resource", "chat", {"pattern": "room", "typed": True})
    assert plan.added.dependencies == ("falconws[typed]",)
    pyproject = project.root / "pyproject.toml"
    pyproject.write_text(pyproject.read_text().replace('"falconws>', '"falconws[redis, Typed]>', 1))
    assert not generators.plan(project, "resource", "chat", {"pattern": "room", "typed": True}).added


@pytest.mark.parametrize(
    ("options", "used"),
    [
        ({"pattern": "room", "route": "/rooms/{hub}"}, '"hub".*on_'),
        ({"pattern": "room", "route": "/rooms/{room_id}/{falcon}"}, '"falcon".*on_'),
        ({"pattern": "echo", "route": "/{text:int}"}, '"text".*on_websocket'),
    ],
)
def test_a_field_that_the_responder_has_another_use_for_is_refused(
    project: Project, options: dict[str, JsonValue], used: str
) -> None:
    with pytest.raises(RefusedError, match=used):
        generators.plan(project, "resource", "chat", options)
    options["route"] = (
        str(options["route"]).replace("{hub}", "{room_id}").replace("{falcon}", "{x}").replace("text", "x")
    )
    generators.plan(project, "resource", "chat", options)
