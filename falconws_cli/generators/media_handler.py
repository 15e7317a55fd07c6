"""`falconws add-media-handler`: a media handler, its tests, its dependency, its place in the app."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from pathlib import PurePosixPath

from falconws_cli.dependencies import edit_pyproject
from falconws_cli.errors import RefusedError
from falconws_cli.generators.target import initial_packages, planned_edit, read_text, refuse_existing
from falconws_cli.names import parse_name
from falconws_cli.plan import Plan, PlannedFile, merge, render_tree
from falconws_cli.project import Project
from falconws_cli.protoc import Compiled
from falconws_cli.register import media_handler_in, register_media_handler
from falconws_cli.syntax import Import
from falconws_cli.templates import load_tree


class Payload(Enum):
    """Which messages a handler is for."""

    TEXT = "text"
    BINARY = "binary"


class Codec(Enum):
    """How a handler turns objects into payloads and back."""

    JSON = "json"
    ORJSON = "orjson"
    RAPIDJSON = "rapidjson"
    MSGSPEC = "msgspec"
    MSGPACK = "msgpack"
    CBOR = "cbor"
    PROTOBUF = "protobuf"
    CUSTOM = "custom"


@dataclass(frozen=True)
class CodecFacts:
    """What a codec can do, and what it needs in the project."""

    payloads: tuple[Payload, ...] = (Payload.TEXT, Payload.BINARY)
    dependencies: tuple[str, ...] = ()
    untyped_modules: tuple[str, ...] = ()


_BINARY_ONLY = (Payload.BINARY,)
CODECS = {
    Codec.JSON: CodecFacts(),
    Codec.ORJSON: CodecFacts(dependencies=("orjson>=3.10",)),
    Codec.RAPIDJSON: CodecFacts(dependencies=("python-rapidjson>=1.20",)),
    Codec.MSGSPEC: CodecFacts(dependencies=("msgspec>=0.19",)),
    Codec.MSGPACK: CodecFacts(_BINARY_ONLY, ("msgpack>=1.0.8",), ("msgpack",)),
    Codec.CBOR: CodecFacts(_BINARY_ONLY, ("cbor2>=5.6",)),
    Codec.PROTOBUF: CodecFacts(_BINARY_ONLY),
    Codec.CUSTOM: CodecFacts(),
}


def plan_media_handler(
    project: Project,
    text: str,
    *,
    payload: Payload,
    codec: Codec,
    compile_proto: Callable[[PurePosixPath, bytes], Compiled],
) -> Plan:
    """Return the plan of a media handler.

    Args:
        project: Where it goes.
        text: Its name, as typed.
        payload: Which messages it is for.
        codec: What it is made with.
        compile_proto: Compiles a .proto file, given its path from the import root and its content.

    Raises:
        RefusedError: The codec cannot carry the payload, or the name or the payload type is taken.
    """
    facts = CODECS[codec]
    if payload not in facts.payloads:
        raise RefusedError(
            f"{codec.value} makes binary payloads, which TEXT messages cannot carry; use --payload binary, "
            f"or one of {', '.join(c.value for c, f in CODECS.items() if payload in f.payloads)}."
        )
    name = parse_name(text, suffix="handler")
    class_name = f"{name.class_prefix}Handler"
    app_path = project.package_path / "app.py"
    app = read_text(project, app_path) or ""
    taken = media_handler_in(app, payload.name)
    if taken is not None and taken.split("(")[0].split(".")[-1] != class_name:
        raise RefusedError(
            f"{payload.name} messages are handled by {taken} in app.py already, and an app has one handler for them; "
            "change that one, or remove its line first."
        )
    context = {
        "package": project.package,
        "package_dir": str(project.package_path),
        "module": name.module,
        "class_name": class_name,
        "class_prefix": name.class_prefix,
        "payload": payload.name,
        "import_folder": str(project.package_path.parent),
    }
    files = render_tree(load_tree("media_handler", codec.value, payload.value), context)
    dependencies, dev_dependencies, unformatted = list(facts.dependencies), [], []
    if codec is Codec.PROTOBUF:
        files, version = _with_compiled(project, files, compile_proto)
        dependencies.append(f"protobuf>={version}")
        dev_dependencies.append("types-protobuf")
        unformatted.append("*_pb2.py*")
    refuse_existing(project, files, f"a media handler {name.module}")
    handler = Import(f"{project.package}.media.{name.module}", class_name)
    registration = register_media_handler(app, project.package, payload=payload.name, handler=handler)
    edits, registered = planned_edit(app_path, app, registration)
    notes = []
    pyproject_path = PurePosixPath("pyproject.toml")
    if dependencies:
        before = read_text(project, pyproject_path) or ""
        after = edit_pyproject(
            before,
            dependencies=dependencies,
            dev_dependencies=dev_dependencies,
            untyped_modules=facts.untyped_modules,
            unformatted_files=unformatted,
        )
        if after != before:
            edits.append(PlannedFile(pyproject_path, after.encode(), before=before.encode()))
        notes.append(
            f'{dependencies[0]} is a dependency of the project now; install it with `pip install -e ".[dev]"`.'
        )
    return Plan(merge(initial_packages(project, "media"), files, edits), (registered,), tuple(notes))


def _with_compiled(
    project: Project, files: list[PlannedFile], compile_proto: Callable[[PurePosixPath, bytes], Compiled]
) -> tuple[list[PlannedFile], str]:
    """Return *files* with what protoc makes of the .proto file among them, and the protobuf release it needs."""
    proto = next(file for file in files if file.path.suffix == ".proto")
    compiled = compile_proto(proto.path.relative_to(project.package_path.parent), proto.data)
    stem = proto.path.stem
    return [
        *files,
        PlannedFile(proto.path.with_name(f"{stem}_pb2.py"), compiled.module),
        PlannedFile(proto.path.with_name(f"{stem}_pb2.pyi"), compiled.stub),
    ], compiled.protobuf_version
