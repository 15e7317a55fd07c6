"""Makes the table of contents from the links of each index page, which any viewer of Markdown can show."""

import re

from sphinx.application import Sphinx


def add_toctree(app: Sphinx, docname: str, source: list[str]) -> None:
    """Append a toctree to an index, of the pages that it links to. Called with the text of each page."""
    if docname == "index":
        linked = re.findall(r"\]\((\w+/index)\.md\)", source[0])
    elif docname.endswith("/index"):
        linked = re.findall(r"\]\(([\w-]+)\.md\)", source[0])
    else:
        return
    source[0] += "\n".join(["", "```{toctree}", ":hidden:", *dict.fromkeys(linked), "```", ""])


def setup(app: Sphinx) -> dict[str, bool]:
    """Connect the callback."""
    app.connect("source-read", add_toctree)
    return {"parallel_read_safe": True}
