"""The Sphinx configuration of the documentation: `python -m sphinx -W -n docs docs/_build`."""

import sys
from importlib.metadata import version as version_of
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent / "extensions"))

project = "falconws"
copyright = "the falconws authors"  # noqa: A001 (Sphinx's name for it)
version = release = version_of("falconws")

extensions = [
    "myst_parser",
    "sphinx.ext.autodoc",
    "sphinx.ext.napoleon",
    "sphinx_click",
    "sphinx_copybutton",
    "contents",
    "corrections",
    "number_search",
]
exclude_patterns = ["_build", "snippets", "sessions"]
# Quotes and dashes stay as they are, so that commands can be copied.
smartquotes = False
# The copy button of a session copies the commands, without prompts and output.
copybutton_prompt_text = "$ "
html_search_language = "numbers"
html_theme = "furo"
html_title = f"falconws {version}"
html_copy_source = False
html_static_path = ["static"]
html_css_files = ["falconws.css"]

myst_enable_extensions = ["colon_fence", "deflist"]
myst_heading_anchors = 3

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
python_use_unqualified_type_names = True
napoleon_use_rtype = False

nitpicky = True
# The inventories of other projects are not available at build time: their names are shown, not linked.
nitpick_ignore_regex = [
    (r"py:.*", r"(falcon|uvicorn|collections|asyncio|types|typing|http|socket|contextlib|pytest|click|enum)\..*"),
    (r"py:class", r"(int|str|bytes|bytearray|memoryview|float|bool|dict|object|tuple|list|type|None)"),
    (r"py:.*", r"(Any|Self|Callable|Awaitable|Coroutine|AsyncIterator|Mapping|Sequence|Iterable|Task|HTTPStatus)"),
    (r"py:class", r"(pathlib\.(Pure)?(Posix)?Path|Path|JsonValue)"),
    (
        r"py:class",
        r"(_asyncio\.Task|falconws\.(tasks|websocket)\._T|falconws\.(hub\.connection_subscriber\.Socket|extension\.ConnectionExtension))",
    ),
    # Type variables have no page.
    (r"py:class", r"(falconws\.(client|(typed|testing)\.\w+)\.)?(A|B|C|In|M|Out|P|Q|R|S|Client|Headers|_Document)"),
    (r"py:exc", r"[A-Z]\w*(Error|Interrupt|Exit)?"),
]

# `-b linkcheck` must work without a network; `-n -W` checks the links within the documentation.
linkcheck_ignore = [r"https?://.*"]
