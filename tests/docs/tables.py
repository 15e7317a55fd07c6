"""The tables of the documentation that are generated from the source. Must not know pages.

The docstrings of the settings and the signatures of functions are the only place where a default is written.
"""

import ast
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import MISSING, dataclass, fields
from itertools import pairwise
from pathlib import Path
from typing import Any

from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT

import falconws
import falconws.server
from falconws.hub.broker import HistoryLimits
from falconws.hub.limits import HubLimits
from falconws.server import admission
from falconws.server.http import framing, guard, shutdown
from falconws.server.websocket import assembler, protocol, time_slice
from falconws_cli.commands.serve import command as serve
from falconws_cli.errors import ExitCode

ROOT = Path(__file__).parents[2]
NOT_LIMITS = frozenset({"DeflateSettings", "TlsSettings"})
"""The settings classes of falconws.server that set no limits."""


def differences() -> list[str]:
    """Return the table DIFFERENCES of the contract suite as a list: a sentence for each intentional difference."""
    path = ROOT / "tests" / "runtime" / "test_falcon_contract.py"
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        if any(isinstance(target, ast.Name) and target.id == "DIFFERENCES" for target in targets):
            assert isinstance(node, ast.Assign | ast.AnnAssign)
            assert node.value is not None
            return [f"- {sentence}" for sentence in ast.literal_eval(node.value).values()]
    raise LookupError(f"{path} has no table DIFFERENCES")


def exit_codes() -> list[str]:
    """Return code, name and meaning of each exit code."""
    texts = attribute_docstrings(ExitCode)
    rows = [(f"`{code.value}`", f"`{code.name}`", texts[code.name]) for code in ExitCode]
    return table(("Code", "Name", "When"), rows)


def comparison() -> list[str]:
    """Return the table of the page that compares falconws, with links that work in the README."""
    page = (ROOT / "docs" / "explanation" / "comparison.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if line.startswith("|")]
    return [row.replace("](#", "](docs/explanation/comparison.md#") for row in rows]


def limits() -> list[str]:
    """Return every limit of the server, the application and the hub: where it is set, its default and its effect."""
    rows = [(f"`{limit.name}`<br>{limit.where}", limit.default, limit.effect) for limit in all_limits()]
    return table(("Limit", "Default", "Effect"), rows)


@dataclass(frozen=True)
class Limit:
    """One row of the table of limits."""

    name: str
    where: str
    """The class or function that has the limit, and the option of `falconws serve`."""
    default: str
    effect: str
    option: str = ""


def all_limits() -> Iterator[Limit]:
    """Yield every limit."""
    options = {parameter.name: parameter.opts[0] for parameter in serve.params}
    for name in settings_classes():
        kind: type[Any] = getattr(falconws.server, name)
        texts = arguments(kind.__doc__ or "", "Attributes:")
        for field in fields(kind):
            if not field.init:
                continue
            default = None if field.default is MISSING else field.default
            option = options.get(field.name, "")
            where = f"`{name}`" + (f"<br>`{option}`" if option else "")
            yield Limit(field.name, where, shown(default), texts[field.name], option)
    run = arguments(falconws.server.run.__doc__ or "", "Args:")
    for name in ("drain_accept_s", "drain_s"):
        default, option = inspect.signature(falconws.server.run).parameters[name].default, options[name]
        yield Limit(name, f"`run()`<br>`{option}`", shown(default), run[name], option)
    ws_options = falconws.App().ws_options
    for name, text in option_texts(type(ws_options).__doc__ or "").items():
        value = getattr(ws_options, name, None)
        if not isinstance(value, bool) and isinstance(value, int | float) and name != "error_close_code":
            yield Limit(name, "`app.ws_options`", shown(value), text)
    for name, text in attribute_docstrings(HistoryLimits).items():
        yield Limit(name, "`HistoryLimits`", shown(getattr(HistoryLimits(), name)), text)
    for name, text in attribute_docstrings(HubLimits).items():
        yield Limit(name, "`HubLimits`", shown(getattr(HubLimits(), name)), text)
    hub = arguments(falconws.Hub.__doc__ or "", "Args:")
    for name in ("lease_s", "timeout_s"):
        yield Limit(name, "`Hub`", shown(inspect.signature(falconws.Hub).parameters[name].default), hub[name])
    for policy in ("disconnect", "conflate", "drop_oldest", "drop_newest"):
        for name, parameter in inspect.signature(getattr(falconws.Policy, policy)).parameters.items():
            yield Limit(name, f"`Policy.{policy}`", shown(parameter.default), _POLICY[name])


_POLICY = {
    "max_lag_s": "Seconds that the next message may wait for a client. Then the client is disconnected with 1013.",
    "max_messages": "Messages that may wait for a subscriber.",
    "max_bytes": "Bytes that may wait for a subscriber.",
}


def settings_classes() -> list[str]:
    """Return the names of the settings classes that set limits."""
    return [name for name in falconws.server.__all__ if name.endswith("Settings") and name not in NOT_LIMITS]


def fixed_limits() -> list[str]:
    """Return the limits of the server that no option changes, with their values in the source."""
    rows = [
        (f"{assembler.MAX_FRAGMENTS:,}", "fragments of a message; more end the connection with 1009"),
        (f"{time_slice._SLICE_MESSAGES}", "messages that a connection delivers before other connections continue"),
        (
            f"{time_slice._SLICE_S * 1000:g} ms",
            "after which other connections continue, even before that many messages; "
            f"{time_slice._CONTENDED_SLICE_S * 1000:g} ms if others wait",
        ),
        (f"{protocol._MAX_EARLY_BYTES:,}", "bytes that a client may send before `accept()`; then reading pauses"),
        (
            f"{framing._MAX_CHUNK_LINE_BYTES:,}",
            "bytes of the line with the size of a chunk; a longer line is answered with 400",
        ),
        (f"{HIGH_WATER_LIMIT:,}", "bytes of a request body that wait for the application; then reading pauses"),
        (f"{admission._MAX_PROBES}", "health and readiness probes at the same time; more are answered with 503"),
        (f"{guard._REFUSAL_CLOSE_S:g} s", "for a client to read the reason for a refused request"),
        (
            f"{shutdown._UPLOAD_CLOSE_S:g} s",
            "for a client to stop sending a body, if it gets the response before the end of the body",
        ),
    ]
    return table(("Limit", "Of what"), rows)


TABLES: dict[str, Callable[[], list[str]]] = {
    "comparison": comparison,
    "differences": differences,
    "exit-codes": exit_codes,
    "fixed-limits": fixed_limits,
    "limits": limits,
}
"""Every generated table, by the name that pages use."""


def table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Return the lines of a Markdown table."""
    escaped = [tuple(cell.replace("|", "\\|") for cell in row) for row in rows]
    return [f"| {' | '.join(row)} |" for row in (head, tuple("---" for _ in head), *escaped)]


def shown(value: object) -> str:
    """Return a default value as the tables show it."""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    return "none" if value is None else f"{value:,}" if isinstance(value, int) else str(value)


def arguments(docstring: str, heading: str) -> dict[str, str]:
    """Return the description of each argument below *heading* in a docstring."""
    texts: dict[str, str] = {}
    inside = False
    for line in inspect.cleandoc(docstring).splitlines():
        if not line.startswith(" "):
            inside = line == heading
        elif inside and (begin := re.match(r"    (\w+): (.*)", line)):
            texts[begin[1]] = begin[2]
        elif inside and texts:
            texts[next(reversed(texts))] += " " + line.strip()
    return {name: text.replace("``", "`") for name, text in texts.items()}


def option_texts(docstring: str) -> dict[str, str]:
    """Return the description of each option in the docstring of ``WebSocketOptions``."""
    texts: dict[str, str] = {}
    for line in inspect.cleandoc(docstring).splitlines():
        if begin := re.match(r"``(\w+)`` \((\w+)", line):
            name, unit = begin[1], begin[2]
            texts[name] = f"{unit.capitalize()}."
        elif texts and line.startswith("    "):
            texts[name] += " " + line.strip()
    return {name: text.replace("``", "`") for name, text in texts.items()}


def attribute_docstrings(kind: type[Any]) -> dict[str, str]:
    """Return the text behind each attribute of a class, by the name of the attribute."""
    tree = ast.parse(Path(inspect.getfile(kind)).read_text(encoding="utf-8"))
    (body,) = (node.body for node in tree.body if isinstance(node, ast.ClassDef) and node.name == kind.__name__)
    texts = {}
    for statement, text in pairwise(body):
        if isinstance(statement, ast.Assign | ast.AnnAssign) and isinstance(text, ast.Expr):
            target = statement.targets[0] if isinstance(statement, ast.Assign) else statement.target
            texts[ast.unparse(target)] = " ".join(ast.literal_eval(text.value).split()).replace("``", "`")
    return texts
