"""`falconws add-media-handler`: a media handler, its tests, its dependency and its registration.

Reads the project; must not write.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from falconws_cli.change.plan import NOTHING, Generated, PlannedFile, Recipe, Requirements
from falconws_cli.errors import RefusedError
from falconws_cli.generators.planning import names_for, read_text
from falconws_cli.layout import app_module
from falconws_cli.names import Name, parse_name
from falconws_cli.project import Project
from falconws_cli.source.python import Import
from falconws_cli.source.register.media_handlers import media_handler_in
from falconws_cli.source.registration import JsonValue, media_handler
from falconws_cli.templating.rendering import render_trees


class Payload(Enum):
    """The messages that a handler is for."""

    TEXT = "text"
    BINARY = "binary"


class Codec(Enum):
    """The format of a handler's payloads."""

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
    """The payloads that a codec supports, and its requirements."""

    payloads: tuple[Payload, ...] = (Payload.TEXT, Payload.BINARY)
    requirements: Requirements = NOTHING


_BINARY_ONLY = (Payload.BINARY,)
CODECS = {
    Codec.JSON: CodecFacts(),
    Codec.ORJSON: CodecFacts(requirements=Requirements(("orjson>=3.10",), modules=("orjson",))),
    Codec.RAPIDJSON: CodecFacts(requirements=Requirements(("python-rapidjson>=1.20",), modules=("rapidjson",))),
    Codec.MSGSPEC: CodecFacts(requirements=Requirements(("msgspec>=0.19",), modules=("msgspec",))),
    Codec.MSGPACK: CodecFacts(
        _BINARY_ONLY, Requirements(("msgpack>=1.0.8",), untyped_modules=("msgpack",), modules=("msgpack",))
    ),
    Codec.CBOR: CodecFacts(_BINARY_ONLY, Requirements(("cbor2>=6",), modules=("cbor2",))),
    Codec.PROTOBUF: CodecFacts(_BINARY_ONLY),
    Codec.CUSTOM: CodecFacts(),
}


class MediaHandlerGenerator:
    """Generates media handlers. Options: "payload" and "codec"."""

    def recipe(self, project: Project, name: str, options: Mapping[str, JsonValue]) -> Recipe:
        """Return the recipe of a media handler.

        Raises:
            RefusedError: The codec cannot carry the payload, or the name or the payload type is taken.
        """
        payload, codec = Payload(options["payload"]), Codec(options["codec"])
        if payload not in CODECS[codec].payloads:
            raise RefusedError(
                f"{codec.value} makes binary payloads, which TEXT messages cannot carry; use --payload binary, "
                f"or one of {', '.join(c.value for c, f in CODECS.items() if payload in f.payloads)}."
            )
        parsed = parse_name(name, suffix="handler")
        taken = media_handler_in(read_text(project, app_module(project)) or "", payload.name)
        if taken is not None and taken.split("(")[0].split(".")[-1] != _class_name(parsed):
            raise RefusedError(
                f"{payload.name} messages are handled by {taken} in app.py already, and an app has one handler for "
                "them; change that one, or remove its line first."
            )
        return Recipe("media-handler", parsed.kebab, {"payload": payload.value, "codec": codec.value})

    def make(self, project: Project, recipe: Recipe) -> Generated:
        """Return the handler, its tests, its registration and its dependency.

        Raises:
            CommandError: The codec is protobuf, and its compiler is not installed.
        """
        name = parse_name(recipe.name)
        payload, codec = Payload(recipe.options["payload"]), Codec(recipe.options["codec"])
        context = {
            **names_for(project, name, _class_name(name)),
            "payload": payload.name,
            "import_folder": str(project.package_path.parent),
        }
        files = render_trees([f"media_handler/{codec.value}/{payload.value}"], context, root=project.root)
        requirements = CODECS[codec].requirements
        if codec is Codec.PROTOBUF:
            files, requirements = _with_compiled(project, files)
        handler = Import(f"{project.package}.media.{name.module}", _class_name(name))
        spec = media_handler(app_module(project), project.package, payload=payload.name, handler=handler)
        return Generated(tuple(files), (spec,), requirements)


def _class_name(name: Name) -> str:
    return f"{name.class_prefix}Handler"


def _with_compiled(project: Project, files: list[PlannedFile]) -> tuple[list[PlannedFile], Requirements]:
    """Return *files* with the modules that protoc makes of the .proto file, and their requirements."""
    from falconws_cli.generators.protoc import compile_proto

    proto = next(file for file in files if file.path.suffix == ".proto")
    compiled = compile_proto(proto.path.relative_to(project.package_path.parent), proto.data)
    stem = proto.path.stem
    generated = [
        PlannedFile(proto.path.with_name(f"{stem}_pb2.py"), compiled.module),
        PlannedFile(proto.path.with_name(f"{stem}_pb2.pyi"), compiled.stub),
    ]
    requirements = Requirements(
        (f"protobuf>={compiled.protobuf_version}",),
        ("types-protobuf",),
        unformatted_files=("*_pb2.py*",),
        modules=("google.protobuf",),
    )
    return [*files, *generated], requirements
