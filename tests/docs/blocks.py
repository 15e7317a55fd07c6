"""Copy snippets, sessions, tables and figures into the pages: `python -m tests.docs.blocks`.

A page can be read anywhere, because it contains its code. A comment names the source of each block, and a test compares
the two. The command rewrites every block that differs::

    <!-- source: docs/snippets/fan_out.py#resource -->
    <!-- table: limits -->
    An echo costs Falcon <!-- figure: echo-falcon -->6.8<!-- end --> times as much.

`#resource` is the part of the file between "# start: resource" and "# end: resource", `#L1` its first line. Without it,
the block is the whole file. A table or a figure ends with `<!-- end -->`.
"""

import re
import sys
import textwrap
from collections.abc import Iterator
from pathlib import Path

from tests.docs.figures import FIGURES
from tests.docs.tables import ROOT, TABLES

_SOURCE = re.compile(
    r"^<!-- source: (?P<path>[^#\n]+?)(?:#(?P<part>[\w-]+))? -->\n+(?P<fence>`{3,})[^\n]*\n.*?^(?P=fence)$",
    re.DOTALL | re.MULTILINE,
)
_TABLE = re.compile(r"^<!-- table: (?P<name>[\w-]+) -->\n.*?^<!-- end -->$", re.DOTALL | re.MULTILINE)
_FIGURE = re.compile(r"<!-- figure: (?P<name>[\w-]+) -->[^<\n]*<!-- end -->")
_LANGUAGES = {
    ".conf": "nginx",
    ".console": "console",
    ".css": "css",
    ".html": "html",
    ".ini": "ini",
    ".java": "java",
    ".js": "js",
    ".mjs": "js",
    ".py": "python",
    ".service": "ini",
    ".toml": "toml",
    ".ts": "ts",
    ".tsx": "tsx",
    ".yaml": "yaml",
}
_NAMES = {"Caddyfile": "text", "Dockerfile": "docker"}


def page_paths() -> Iterator[Path]:
    """Yield the path of every page, and of the README."""
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))


def filled(text: str) -> str:
    """Return the text of a page with all blocks as their sources are now."""
    text = _SOURCE.sub(lambda found: _block(found["path"], found["part"]), text)
    text = _TABLE.sub(lambda found: _table(found["name"]), text)
    # Tables contain figures.
    return _FIGURE.sub(lambda found: f"<!-- figure: {found['name']} -->{FIGURES[found['name']]()}<!-- end -->", text)


def _block(path: str, part: str | None) -> str:
    code = source(path, part)
    fence = "````" if "```" in code else "```"
    where = f"{path}#{part}" if part else path
    return f"<!-- source: {where} -->\n\n{fence}{language(path)}\n{code}{fence}"


def _table(name: str) -> str:
    return "\n".join([f"<!-- table: {name} -->", "", *TABLES[name](), "", "<!-- end -->"])


def source(path: str, part: str | None) -> str:
    """Return the text of a file, or of a part of it."""
    text = (ROOT / path).read_text(encoding="utf-8")
    if part is None:
        return text.rstrip("\n") + "\n"
    if number := re.fullmatch(r"L(\d+)", part):
        return text.splitlines(keepends=True)[int(number[1]) - 1]
    found = re.search(rf"^ *(?:#|//) start: {part}\n(.*?)^ *(?:#|//) end: {part}$", text, re.DOTALL | re.MULTILINE)
    if found is None:
        raise LookupError(f'{path} has no part "{part}"')
    return textwrap.dedent(found[1]).strip("\n") + "\n"


def language(path: str) -> str:
    """Return the language of a file, for the fence of its block."""
    name = Path(path.removesuffix(".golden"))
    if name.suffix == ".jinja":
        return "jinja"
    return _NAMES.get(name.name) or _LANGUAGES[name.suffix]


def main() -> None:
    """Rewrite every page that differs from its sources."""
    for page in page_paths():
        text = page.read_text(encoding="utf-8")
        if (new := filled(text)) != text:
            page.write_text(new, encoding="utf-8")
            print(f"rewrote {page.relative_to(ROOT)}")


if __name__ == "__main__":
    sys.exit(main())
