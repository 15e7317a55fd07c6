"""Edits of a project's pyproject.toml that keep its formatting and comments. Pure, idempotent."""

import copy
import functools
import re
import tomllib
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Concatenate, ParamSpec

import tomlkit
from tomlkit.exceptions import TOMLKitError

from falconws_cli.errors import CommandError

# A table of ours with a blank line above it, and none below: tomlkit leaves that line out.
_UNSPACED_TABLE = re.compile(
    r"""(?<=\n\n)\[\[tool\.mypy\.overrides\]\]\nmodule = "([^"]+)"\nignore_missing_imports = true\n(?=\[)"""
)

_EXTRAS = r"\[(?P<extras>[A-Za-z0-9._-]+(?:,[A-Za-z0-9._-]+)*)\]"
_BARE_EXTRAS = re.compile(rf"[A-Za-z0-9._-]+{_EXTRAS}")
_WITH_VERSION = re.compile(rf"(?P<name>[A-Za-z0-9._-]+)(?:{_EXTRAS})?(?P<version>\s*[<>=!~][^;@]*)")
"""A requirement that an extra can be added to: one with a version and without a marker."""

_How = ParamSpec("_How")


class UnsupportedFormError(CommandError):
    """The file is valid, and written in a form that cannot be edited without changing what it says."""


def _keeping_line_ends(edit: Callable[Concatenate[str, _How], str]) -> Callable[Concatenate[str, _How], str]:
    """Return *edit*, which writes line feeds, made to keep CRLF in a text whose lines all end with it."""

    @functools.wraps(edit)
    def edit_lines(text: str, /, *arguments: _How.args, **keywords: _How.kwargs) -> str:
        if not 0 < text.count("\n") == text.count("\r\n"):
            return edit(text, *arguments, **keywords)
        return edit(text.replace("\r\n", "\n"), *arguments, **keywords).replace("\n", "\r\n")

    return edit_lines


@_keeping_line_ends
def edit_pyproject(
    text: str,
    /,
    *,
    dependencies: Iterable[str] = (),
    dev_dependencies: Iterable[str] = (),
    untyped_modules: Iterable[str] = (),
    unformatted_files: Iterable[str] = (),
) -> str:
    """Return *text* with what is missing added.

    Args:
        text: The file.
        dependencies: Requirements for [project] dependencies, such as "orjson>=3.10". One that names a package
            which is already required leaves that requirement alone, unless it lacks an extra: "falconws[typed]" adds
            the extra to "falconws>=0.3", and is a requirement of its own beside one with a marker or without a version.
        dev_dependencies: The same for the dependency group "dev" if the file has one, else for the extra "dev".
        untyped_modules: Modules that come without types, for mypy to accept.
        unformatted_files: Patterns of generated files that ruff leaves alone.

    Raises:
        CommandError: The text is not TOML, or has no [project] table for a requirement.
        UnsupportedFormError: The text cannot be edited.
    """
    try:
        document = tomlkit.parse(text)
    except TOMLKitError as error:
        raise CommandError(f"Cannot edit pyproject.toml: {error}.") from error
    project = document.get("project")
    dependencies, dev_dependencies = list(dependencies), list(dev_dependencies)
    if (dependencies or dev_dependencies) and not isinstance(project, dict):
        raise CommandError("Cannot edit pyproject.toml: it has no [project] table.")
    for requirement in dependencies:
        _require(_list(project, "dependencies"), requirement)
    for requirement in dev_dependencies:
        groups = document.get("dependency-groups")
        has_group = isinstance(groups, dict) and "dev" in groups
        _require(_list(groups if has_group else _table(project, "optional-dependencies"), "dev"), requirement)
    for pattern in unformatted_files:
        _include(_list(_table(_table(document, "tool"), "ruff"), "extend-exclude"), pattern)
    accepted = [
        module for module in untyped_modules if _accept_untyped(_table(_table(document, "tool"), "mypy"), module)
    ]
    # tomlkit takes a blank line for the end of the table above it, and puts the new one right before the next.
    edited = _UNSPACED_TABLE.sub(
        lambda table: f"{table[0]}\n" if table[1] in accepted else table[0], tomlkit.dumps(document)
    )
    # It mixes up tables that are written with dotted keys.
    if _loads(edited) != document.unwrap():
        raise UnsupportedFormError(
            "Cannot edit pyproject.toml: its tables are written in a form that is not supported."
        )
    return edited


def command_to_require(text: str) -> str:
    """Return the command that adds a requirement to a project whose dependencies are not in [project]; "" otherwise.

    Poetry has a table of its own. A project without a [project] table, or whose dependencies are dynamic, keeps them in
    another file: adding them to pyproject.toml would make it invalid.
    """
    document = _loads(text) or {}
    project = document.get("project")
    if isinstance(project, dict) and "dependencies" not in project.get("dynamic", []):
        return ""
    tool = document.get("tool")
    return "poetry add" if isinstance(tool, dict) and "poetry" in tool else "pip install"


@_keeping_line_ends
def remove_from_pyproject(
    text: str,
    /,
    *,
    dependencies: Iterable[str] = (),
    dev_dependencies: Iterable[str] = (),
    untyped_modules: Iterable[str] = (),
    unformatted_files: Iterable[str] = (),
) -> str:
    """Return *text* without what `edit_pyproject` added, byte for byte as it was; what was changed since stays.

    Raises:
        CommandError: The text is not TOML.
    """
    added = {
        "dependencies": dependencies,
        "dev_dependencies": dev_dependencies,
        "unformatted_files": unformatted_files,
        "untyped_modules": untyped_modules,
    }
    edit_pyproject(text)
    for kind, values in reversed(added.items()):
        for value in reversed(list(values)):
            text = _without(text, kind, value)
    return text


def _without(text: str, kind: str, value: str) -> str:
    """Return *text* without one addition, which is one contiguous piece of the text."""
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise CommandError(f"Cannot edit pyproject.toml: {error}.") from error
    wanted = _documents_without(document, kind, value)
    if not wanted and kind in ("dependencies", "dev_dependencies"):
        return _without_extra(text, document, kind, value)
    candidates = [text[:start] + text[end:] for start, end in _spans(text, value)]
    documents = [(candidate, _loads(candidate)) for candidate in candidates]
    found = [[candidate for candidate, document in documents if document == meant] for meant in wanted]
    # If several texts would have become this one, the tidiest is the likeliest.
    tidiest = [sorted(set(alike), key=lambda one: (not one.endswith("\n"), len(one), one)) for alike in found]
    for candidate in (candidate for alike in tidiest for candidate in alike):
        if edit_pyproject(candidate, **{kind: [value]}) == text:
            return candidate
    return next((candidate for alike in found for candidate in alike), text)


def _without_extra(text: str, document: dict[str, Any], kind: str, value: str) -> str:
    """Return *text* without the extras that were added to a requirement; as it is, if there is no such requirement."""
    listed: Any = document
    for key in ("project", "dependencies") if kind == "dependencies" else _dev_keys(document, value):
        listed = listed.get(key, {})
    for requirement in listed:
        before = _without_extras(str(requirement), value)
        for match in re.finditer(rf"""(["']){re.escape(str(requirement))}\1""", text) if before else ():
            candidate = f"{text[: match.start() + 1]}{before}{text[match.end() - 1 :]}"
            expected = copy.deepcopy(document)
            place: Any = expected
            for key in ("project", "dependencies") if kind == "dependencies" else _dev_keys(document, value):
                place = place[key]
            place[place.index(requirement)] = before
            if _loads(candidate) == expected:
                return candidate
    return text


def _documents_without(document: dict[str, Any], kind: str, value: str) -> list[dict[str, Any]]:
    """Return what the document may say without the value, the likeliest first.

    It is unlikely that an empty table was there before. An empty list of the project's dependencies may have been.
    """
    keys, item = {
        "dependencies": (("project", "dependencies"), value),
        "dev_dependencies": (_dev_keys(document, value), value),
        "unformatted_files": (("tool", "ruff", "extend-exclude"), value),
        "untyped_modules": (("tool", "mypy", "overrides"), {"module": value, "ignore_missing_imports": True}),
    }[kind]
    found: list[dict[str, Any]] = []
    without = copy.deepcopy(document)
    path: list[Any] = [without]
    for key in keys:
        path.append(path[-1].get(key, {}))
    if not isinstance(path[-1], list) or item not in path[-1]:
        return []
    path[-1].remove(item)
    found.append(copy.deepcopy(without))
    for key, parent, child in zip(reversed(keys), reversed(path[:-1]), reversed(path[1:]), strict=True):
        if child:
            break
        del parent[key]
        found.append(copy.deepcopy(without))
    return found if kind == "dependencies" else found[::-1]


def _dev_keys(document: dict[str, Any], value: str) -> tuple[str, ...]:
    groups = document.get("dependency-groups")
    in_group = isinstance(groups, dict) and value in groups.get("dev", [])
    return ("dependency-groups", "dev") if in_group else ("project", "optional-dependencies", "dev")


def _spans(text: str, value: str) -> Iterator[tuple[int, int]]:
    """Yield what may have to go with the value: its comma, its line, its key, its table."""
    for match in re.finditer(rf"""(["']){re.escape(value)}\1""", text):
        start, end = match.span()
        line_start = text.rfind("\n", 0, start) + 1
        line_end = (text.find("\n", end) + 1) or len(text)
        before = re.search(r",?[ \t]*\Z", text[:start])
        gap = re.search(r",?\s*\Z", text[:start])
        after = re.match(r"[ \t]*,[ \t]*", text[end:])
        assert before is not None
        assert gap is not None
        behind = end + (after.end() if after else 0)
        yield line_start, line_end
        yield before.start(), end
        yield gap.start(), end
        yield start, behind
        yield before.start(), behind
        yield start, end
        if after:
            yield before.start() + before.group().startswith(","), end + after.group().index(",") + 1
            yield gap.start() + gap.group().startswith(","), end + after.group().index(",") + 1
        starts, ends = [line_start], [line_end]
        while starts[-1] > 0 and len(starts) < 8:
            starts.append(text.rfind("\n", 0, starts[-1] - 1) + 1)
        while ends[-1] < len(text) and len(ends) < 5:
            ends.append((text.find("\n", ends[-1]) + 1) or len(text))
        for first in starts:
            for last in ends:
                yield first, last
        # A last line without a newline got one.
        for first in starts:
            yield first - 1, len(text)


def _loads(text: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return None


def _require(requirements: Any, wanted: str) -> None:
    extras = _extras_of(wanted)
    of_it = [(i, r) for i, r in enumerate(requirements) if distribution_of(str(r)) == distribution_of(wanted)]
    if any(extras <= _extras_of(str(requirement)) for _, requirement in of_it):
        return
    for index, requirement in of_it:
        extended = _with_extras(str(requirement), wanted)
        if extended:
            requirements[index] = tomlkit.string(extended, literal=requirement.as_string().startswith("'"))
            return
    _include(requirements, wanted)


def distribution_of(requirement: str) -> str:
    """Return the normalized name of the package that a requirement is about (PEP 503)."""
    match = re.match(r"\s*([A-Za-z0-9][A-Za-z0-9._-]*)", requirement)
    return re.sub(r"[-_.]+", "-", match[1]).lower() if match else requirement


def _with_extras(requirement: str, wanted: str) -> str:
    """Return the requirement, which has a version, with the extras that *wanted* consists of; "" if either is else."""
    plain, bare = _WITH_VERSION.fullmatch(requirement), _BARE_EXTRAS.fullmatch(wanted)
    if plain is None or bare is None:
        return ""
    there = plain["extras"].split(",") if plain["extras"] else []
    added = [extra for extra in bare["extras"].split(",") if extra not in there]
    return f"{plain['name']}[{','.join([*there, *added])}]{plain['version']}"


def _without_extras(requirement: str, wanted: str) -> str:
    """Return the requirement as it was before `_with_extras`; "" if that has not made it."""
    plain, bare = _WITH_VERSION.fullmatch(requirement), _BARE_EXTRAS.fullmatch(wanted)
    if plain is None or bare is None or distribution_of(requirement) != distribution_of(wanted):
        return ""
    there, going = (plain["extras"] or "").split(","), bare["extras"].split(",")
    if not set(going) <= set(there):
        return ""
    left = ",".join(extra for extra in there if extra not in going)
    return f"{plain['name']}{f'[{left}]' if left else ''}{plain['version']}"


def _extras_of(requirement: str) -> set[str]:
    match = re.match(r"\s*[A-Za-z0-9._-]+\s*\[([^]]*)\]", requirement)
    return {re.sub(r"[-_.]+", "-", extra.strip()).lower() for extra in match[1].split(",")} if match else set()


def _include(items: Any, wanted: str) -> None:
    if wanted in [str(item) for item in items]:
        return
    # tomlkit appends to the line of the last item, even if that ends with a comment.
    appended = copy.deepcopy(items)
    appended.append(wanted)
    is_there = wanted in tomllib.loads(f"items = {appended.as_string()}")["items"]
    (items.append if is_there else items.add_line)(wanted)


def _accept_untyped(mypy: Any, module: str) -> bool:
    """Make mypy accept the module, and tell whether it did not before."""
    overrides = mypy.get("overrides")
    if overrides is None:
        overrides = tomlkit.aot()
        mypy["overrides"] = overrides
    for override in overrides:
        modules = override.get("module")
        if module == modules or (isinstance(modules, list) and module in modules):
            return False
    entry = tomlkit.table()
    entry["module"] = module
    entry["ignore_missing_imports"] = True
    overrides.append(entry)
    return True


def _table(parent: Any, key: str) -> Any:
    if key not in parent:
        parent[key] = tomlkit.table()
    return parent[key]


def _list(parent: Any, key: str) -> Any:
    if key not in parent:
        parent[key] = tomlkit.array()
    return parent[key]
