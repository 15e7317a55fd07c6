"""Modules as people write them, for property tests of what is registered in them."""

import ast
import re

import pytest
from hypothesis import strategies as st

_SNIPPETS = st.sampled_from(
    [
        "import os",
        "import zlib as z",
        "import falconws",
        "import falconws as fw",
        "from falconws import App as Application",
        "from typing import (\n    Any,\n)",
        "from demo.resources.about import AboutResource",
        "from demo.resources.zoo import ZooResource  # last",
        "from . import settings",
        "# a comment",
        "",
        "\n",
        "   ",
        "x = 1; y = 2",
        "x: int = 1",
        's = """\napp.add_route("/chat", ChatResource())\n"""',
        "def other(app):\n    return app",
        "class Meta:\n    def add(self, app):\n        pass",
        "@decorate\ndef decorated(): ...",
        "if x:\n    import json\nelse:\n    json = None",
        "\x0c",
        "s = 'ü\u2028'",
        "s = 'single'; t = 'quotes'",
        "async def later(app):\n\n    # why\n    await app",
        "try:\n    import fast\nexcept ImportError:\n    fast = None",
        "match x:\n    case 1:\n        y = 2",
        "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import json",
    ]
)
ROUTES = st.sampled_from(
    [
        'app.add_route("/a", A())',
        'app.add_route("/b", B())  # b',
        "app.add_route(\n        '/c',\n        C(),\n    )",
        "# about",
        "x = 1; app.add_route('/d', D())",
        "app.add_route('/d', D()); x = 1",
        "if x:\n        app.add_route('/e', E())",
        "for path in x:\n        app.add_route(path, F())",
        'for path, resource in [("/g", G())]:\n        app.add_route(path, resource)',
        "for p, r in (\n        ('/h', H),  # h\n        # i\n    ):\n        app.add_route(p, r())",
        "for path, resource in {'/j': J}.items():\n        app.add_route(path, resource())",
        "for route in []:\n        app.add_route(*route)",
        'text = """\n  app.add_route("/chat", None)\n"""',
        "with lock:\n        pass",
        "",
        "    ",
    ]
)
APPS = st.sampled_from(
    [
        "app = falconws.App()",
        "app: falconws.App = make()",
        "api = fw.App(middleware=[])",
        "app = Application(\n        middleware=[One(), Two()],\n    )",
        "app = falconws.App(middleware=[\n        One(),\n        Two(),  # two\n        # three\n    ])",
        "app = falconws.App(middleware=[\n        One(),\n        Two()\n    ])",
        "app = falconws.App(middleware=[\n        # none\n    ], x=1)",
        "app = falconws.App(middleware=MIDDLEWARE)  # from settings",
        "app = falconws.App(middleware=(One(),))",
        "if x:\n        app = falconws.App()\n    else:\n        app = falconws.App(x=1)",
        "with x:\n        app = falconws.App(middleware=[(One())])",
        "return falconws.App(middleware=[One(),])",
        "app = falconws.App(); x = 1",
    ]
)
APP_LINES = st.sampled_from(
    [
        "app.add_middleware(One())",
        "app.add_middleware([One(), Two()])",
        "app.ws_options.media_handlers[falconws.WebSocketPayloadType.TEXT] = Text()",
        "app.ws_options.media_handlers = {fw.WebSocketPayloadType.TEXT: Text()}",
        "# about",
        "",
        "if x:\n        app.add_middleware(One())",
        "app = wrapped(app)",
        "return app",
    ]
)


@st.composite
def modules(draw: st.DrawFn, head: str, lines: st.SearchStrategy[list[str]]) -> str:
    """A module with one function that begins with *head* and has *lines*, indented by four."""
    before = draw(st.lists(_SNIPPETS, max_size=5))
    body = "".join(f"    {line}\n" if line.strip() else f"{line}\n" for line in draw(lines))
    after = draw(st.lists(_SNIPPETS, max_size=3))
    docstring = draw(st.sampled_from(["", '"""Doc."""\n', '#!/usr/bin/env python\n"""Doc\n\nmore."""\n', "\ufeff"]))
    text = docstring + "\n".join([*before, f"{head}\n{body}", *after])
    if draw(st.booleans()):
        text = text.rstrip("\n")
    text = text.replace("\n", draw(st.sampled_from(["\n", "\r\n", "\r"])))
    ast.parse(text.removeprefix("\ufeff"))
    return text


def added_lines(before: str, after: str) -> list[str]:
    """The lines that are new in *after*; fails when a line of *before* is gone or has moved."""
    rest = iter(re.split(r"\r\n|\r|\n", after))
    added = []
    for line in re.split(r"\r\n|\r|\n", before):
        for candidate in rest:
            if candidate == line:
                break
            added.append(candidate)
        else:
            pytest.fail(f"the line {line!r} is gone")
    return added + list(rest)
