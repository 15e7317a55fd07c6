"""URI templates as Falcon's router reads them, without loading Falcon. Pure.

A generator must refuse a template that Falcon would refuse when the project starts, and must know the type of
each field for the responder's signature. Tests compare every answer with Falcon's own router.
"""

import keyword
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from urllib.parse import quote, unquote

from falconws_cli.errors import RefusedError

_FIELD = re.compile(r"{(?P<name>[^}:]*)(?P<converter>:(?P<kind>[^}(]*)(?:\((?P<arguments>[^}]*)\))?)?}")
_IDENTIFIER = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_VALUES = {"int": r"-?\d+", "float": r"[-+.\deE]+", "uuid": r"[0-9A-Fa-f-]{32,36}", "path": ".*"}
"""What a field of each converter may be, as a pattern; any other field is a whole text without slashes."""
# RFC 3986 section 3.3, "pchar". Anything else reaches the router percent-decoded, so a template should not have it.
_LITERAL = re.compile(r"[A-Za-z0-9._~!$&'()*+,;=:@-]*")


@dataclass(frozen=True)
class FieldType:
    """The type that a converter gives to the responder, and an example value for tests."""

    annotation: str
    example: str
    import_from: str | None = None


_TEXT = FieldType("str", "lobby")
CONVERTERS = {
    "int": FieldType("int", "7"),
    "float": FieldType("float", "1.5"),
    "uuid": FieldType("UUID", "6f1dbe2e-5cc4-4b0e-9a11-3c1f7e2a9d10", "uuid"),
    "dt": FieldType("datetime", "2030-01-31T12:00:00Z", "datetime"),
    "path": FieldType("str", "lobby/door"),
}


@dataclass(frozen=True)
class Field:
    """One `{name}` or `{name:converter}` of a template."""

    name: str
    kind: str | None

    @property
    def type(self) -> FieldType:
        return _TEXT if self.kind is None else CONVERTERS[self.kind]


@dataclass(frozen=True)
class UriTemplate:
    """A URI template that Falcon accepts."""

    text: str
    fields: tuple[Field, ...]

    @property
    def example(self) -> str:
        """A path that the template matches, percent-encoded."""
        values = iter(self.fields)
        return quote(_FIELD.sub(lambda _: next(values).type.example, self.text), safe="/:@!$&'()*+,;=~")

    @property
    def address(self) -> str:
        """The template without converters, as in an AsyncAPI document."""
        return _FIELD.sub(r"{\g<name>}", self.text)

    @property
    def pattern(self) -> str:
        """A regular expression of JavaScript for percent-encoded paths, with a group for each field."""
        literals = [re.sub(r"[.$*+()/]", r"\\\g<0>", each) for each in _FIELD.sub("{}", self.text).split("{}")]
        groups = [f"(?<{field.name}>{'.+' if field.kind == 'path' else '[^/]+'})" for field in self.fields]
        return literals[0] + "".join(group + literal for group, literal in zip(groups, literals[1:], strict=True))


def parse_uri_template(text: str) -> UriTemplate:
    """Parse a URI template.

    Raises:
        RefusedError: Falcon's router would not accept it, or generated code could not name its fields.
    """

    def refuse(reason: str) -> RefusedError:
        return RefusedError(f'The route "{text}" is refused: {reason}')

    if not text.startswith("/"):
        raise refuse(f'it must begin with a slash; try "/{text}".')
    if re.search(r"\s", text):
        raise refuse("it contains whitespace; use - between words.")
    if "//" in text:
        raise refuse("it has an empty segment (//); write each slash once.")
    if len(text) > 1 and text.endswith("/"):
        raise refuse(f'Falcon treats "{text}" and "{text.rstrip("/")}" as two routes; leave out the last slash.')
    segments = text[1:].split("/")
    fields: list[Field] = []
    for index, segment in enumerate(segments):
        for match in _FIELD.finditer(segment):
            field = _parse_field(match, refuse)
            if any(field.name == other.name for other in fields):
                raise refuse(f'the field "{field.name}" appears twice; each field needs its own name.')
            if field.kind == "path" and (match.group() != segment or index != len(segments) - 1):
                raise refuse(f'the path field "{field.name}" must be the whole last segment.')
            fields.append(field)
        literal = _FIELD.sub("", segment)
        if not _LITERAL.fullmatch(literal):
            if "{" in literal or "}" in literal:
                raise refuse("its braces do not match; write fields as {name} or {name:int}.")
            raise refuse("outside of fields, only letters, digits and - . _ ~ are allowed.")
    return UriTemplate(text, tuple(fields))


def find_conflict(template: str, others: Iterable[str]) -> str | None:
    """Return the first of *others* that Falcon could not distinguish from *template*, or None.

    Two templates conflict when they are equal up to a segment whose fields have different names or converters.
    """
    segments = template.strip("/").split("/")
    for other in others:
        other_segments = other.strip("/").split("/")
        for mine, theirs in zip(segments, other_segments, strict=False):
            if mine == theirs:
                if _consumes_the_rest(mine):
                    return other
                continue
            if _shape(mine) == _shape(theirs) != mine:
                return other
            break
        else:
            if len(segments) == len(other_segments):
                return other
    return None


def matches(template: str, path: str) -> bool:
    """Return whether a *path*, percent-encoded or not, may be one of *template*.

    Converters of an app's own, and arguments of converters, are taken for fields of any text.
    """
    pattern, end = "", 0
    for field in _FIELD.finditer(template):
        pattern += re.escape(template[end : field.start()]) + _VALUES.get(field["kind"] or "", "[^/]+")
        end = field.end()
    return re.fullmatch(pattern + re.escape(template[end:]), unquote(path)) is not None


def _parse_field(match: re.Match[str], refuse: Callable[[str], RefusedError]) -> Field:
    name, kind = match["name"], match["kind"]
    if not _IDENTIFIER.fullmatch(name) or keyword.iskeyword(name):
        raise refuse(f'"{name}" is not a valid parameter name; use letters, digits and _, such as {{room_id}}.')
    if name in ("self", "req", "resp", "ws"):
        raise refuse(f'"{name}" is already a parameter of every responder; choose another name.')
    if match["converter"] is None:
        return Field(name, None)
    if kind not in CONVERTERS:
        raise refuse(f'{{{name}}} has the unknown converter "{kind}"; use {", ".join(sorted(CONVERTERS))}.')
    if match["arguments"]:
        raise refuse(
            f"the converter of {{{name}}} has arguments; generate the route without them and add them in routes.py."
        )
    return Field(name, kind)


def _shape(segment: str) -> str:
    return _FIELD.sub("\0", segment)


def _consumes_the_rest(segment: str) -> bool:
    match = _FIELD.fullmatch(segment)
    return match is not None and match["kind"] == "path"
