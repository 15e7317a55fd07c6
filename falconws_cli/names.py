"""Derives the names of modules, classes, routes and folders from what a user types. Pure.

Knows which names Python and file systems allow. Must not know projects, templates or Falcon.
"""

import keyword
import re
import sys
import unicodedata
from dataclasses import dataclass

from falconws_cli.errors import RefusedError

MAX_LENGTH = 40
"""The longest module name: short enough for the file name of a test on every system."""

_SEPARATORS = re.compile(r"[\s_-]+")
_WORD = re.compile(r"[A-Z]+(?![a-z])[0-9]*|[A-Z]?[a-z]+[0-9]*|[0-9]+")
# Import names of the optional dependencies of falconws and of generated projects; they may not be installed yet.
_DEPENDENCIES = frozenset({"cbor2", "google", "msgspec", "nats", "orjson", "rapidjson", "redis", "watchfiles"})
_WINDOWS_DEVICES = frozenset(
    {"aux", "con", "nul", "prn", *(f"{port}{n}" for port in ("com", "lpt") for n in range(1, 10))}
)


@dataclass(frozen=True)
class Name:
    """A name in every spelling that generated code needs."""

    words: tuple[str, ...]

    @property
    def module(self) -> str:
        """As a module: chat_room."""
        return "_".join(self.words)

    @property
    def class_prefix(self) -> str:
        """As the beginning of a class name: ChatRoom."""
        return "".join(word.capitalize() for word in self.words)

    @property
    def kebab(self) -> str:
        """As a folder, a distribution or a URI segment: chat-room."""
        return "-".join(self.words)

    @property
    def constant(self) -> str:
        """As an environment variable or a constant: CHAT_ROOM."""
        return self.module.upper()

    @property
    def phrase(self) -> str:
        """In the middle of a sentence: chat room."""
        return " ".join(self.words)


def parse_name(text: str, *, suffix: str = "") -> Name:
    """Parse a name: "chat room", "chat-room", "chat_room" and "ChatRoom" are the same.

    Args:
        text: What the user typed.
        suffix: A word that the generator appends to class names; "ChatRoomResource" with the suffix "resource"
            is "chat_room".

    Raises:
        RefusedError: The name is not valid in Python or on a file system; the message suggests one that is.
    """
    shown = f'"{text}"'
    if not text.strip():
        raise RefusedError('The name is empty; use one such as "chat-room".')
    if re.search(r"[/\\]", text) or text in (".", ".."):
        last = text.replace("\\", "/").rpartition("/")[2]
        raise RefusedError(f"{shown} is a path, not a name{_suggest(last)}.")
    stripped = _SEPARATORS.sub("", text)
    if not (stripped.isascii() and stripped.isalnum()):
        raise RefusedError(
            f"{shown} contains characters that are not allowed; use letters, digits, spaces, - and _{_suggest(text)}."
        )
    words = tuple(word.lower() for part in _SEPARATORS.split(text.strip()) if part for word in _WORD.findall(part))
    if len(words) > 1 and words[-1] == suffix:
        words = words[:-1]
    name = Name(words)
    if name.module[0].isdigit():
        raise RefusedError(f"{shown} begins with a digit, which a module name cannot{_suggest(text)}.")
    if len(name.module) > MAX_LENGTH:
        raise RefusedError(f"{shown} is longer than {MAX_LENGTH} characters; choose a shorter name.")
    if keyword.iskeyword(name.module):
        raise RefusedError(f"{shown} is a Python keyword{_suggest(text)}.")
    if name.module in _WINDOWS_DEVICES:
        raise RefusedError(f"{shown} is a device name on Windows, so a file cannot have it{_suggest(text)}.")
    return name


def refuse_as_package(name: Name) -> None:
    """Refuse the name of a package that would hide another module.

    Raises:
        RefusedError: The name is used by the standard library or by the project's tests.
    """
    if name.module in sys.stdlib_module_names:
        raise RefusedError(
            f'"{name.module}" is a module of Python\'s standard library, which the project would hide'
            f"{_suggest(name.kebab)}."
        )
    if name.module in _DEPENDENCIES:
        raise RefusedError(
            f'"{name.module}" is a package that projects depend on, which the project\'s package would hide'
            f"{_suggest(name.kebab)}."
        )
    if name.module == "tests":
        raise RefusedError(f'"tests" is the folder of the project\'s tests{_suggest("tests")}.')


def _suggest(text: str) -> str:
    """Return `; try "..."` with a name that parses, made from *text*, or nothing when none can be made."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode()
    words = re.findall(r"[A-Za-z0-9]+", plain)
    leading_digits = ""
    if words and (match := re.match(r"\d+", words[0])):
        leading_digits = match.group()
        words[0] = words[0][match.end() :]
    candidate = "-".join(word.lower() for word in words if word) + leading_digits
    if not candidate or candidate[0].isdigit():
        return ""
    taken = keyword.iskeyword(candidate) or candidate in sys.stdlib_module_names | _DEPENDENCIES | {"tests"}
    if taken or candidate in _WINDOWS_DEVICES:
        candidate = f"my-{candidate}"
    return f'; try "{candidate}"' if len(candidate) <= MAX_LENGTH else ""
