"""Turns templates into Python modules, so that an installed falconws renders without loading Jinja2.

The build of a wheel calls `compile_folder`; rendering.py imports what it makes. Jinja2 parses, and its syntax tree
is written out as plain Python: each template a function, its names the items of a dictionary, its text appended to a
list. Only what Python does in the same way is translated; a template with anything else is left to Jinja2.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from jinja2 import Environment, TemplateSyntaxError, nodes

from falconws_cli.templating.functions import FILTERS
from falconws_cli.templating.templates import PARTIALS

_OPERATORS: Mapping[type[nodes.Expr], str] = {
    nodes.Add: "+",
    nodes.Sub: "-",
    nodes.Mul: "*",
    nodes.Mod: "%",
    nodes.And: "and",
    nodes.Or: "or",
}
_COMPARISONS = {"eq": "==", "ne": "!=", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">=", "in": "in", "notin": "not in"}


class CannotCompileError(Exception):
    """A template uses what only Jinja2 can do; the message says what, and where."""


def compile_folder(folder: Path, environment: Environment) -> dict[str, str]:
    """Return the files of the package that renders the templates in *folder*: one module for each kind of tree."""
    sources = {
        path.relative_to(folder).as_posix(): path.read_text(encoding="utf-8")
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "__pycache__" not in path.parts
    }
    kinds = sorted({path.partition("/")[0] for path in sources} - {PARTIALS})
    modules = {f"{kind}.py": compile_templates(environment, kind, sources)[0] for kind in kinds}
    return {"__init__.py": '"""The templates, compiled when falconws was built."""\n', **modules}


def compile_templates(environment: Environment, kind: str, sources: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    """Return the source of the module for all templates of one kind, and why each of the others is not in it.

    The module's FILES maps a template's path to a function, from a dictionary of all names that the template may use
    to text. A file that is not a template is its bytes. Its LEFT_OUT are the paths that Jinja2 must render.

    Args:
        environment: What would render the templates otherwise.
        kind: Top folder of the templates to compile, such as "resource".
        sources: All templates by path, those that are only included too.
    """
    compiler = _Compiler(environment, sources)
    entries = []
    left_out = {}
    for path in sorted(path for path in sources if path.startswith(f"{kind}/")):
        try:
            value = compiler.renderer(path) if path.endswith(".jinja") else repr(sources[path].encode())
        except (CannotCompileError, TemplateSyntaxError) as error:
            left_out[path] = str(error)
        else:
            entries.append(f"    {path!r}: {value},\n")
    parts = [
        f'"""The templates of {kind}, compiled when falconws was built. Do not edit."""\n\n',
        "from falconws_cli.templating.functions import FILTERS\n\n",
        *(f"{text}\n\n" for text in compiler.functions.values()),
        f"FILES = {{\n{''.join(entries)}}}\nLEFT_OUT = {tuple(left_out)!r}\n",
    ]
    return "".join(parts), left_out


@dataclass
class _Compiler:
    """The functions of one module, by what they are made of."""

    environment: Environment
    sources: Mapping[str, str]
    functions: dict[str, str] = field(default_factory=dict)

    def renderer(self, path: str) -> str:
        """Return the name of the function that renders the template at *path*."""
        return self._function(f"render_{self._number(path)}", path, "''.join(out)", self._parse(path).body)

    def exporter(self, path: str) -> str:
        """Return the name of the function that returns what the template at *path* gives names to."""
        body = [node for node in self._parse(path).body if not isinstance(node, nodes.Output)]
        return self._function(f"names_of_{self._number(path)}", path, "v", body)

    def _function(self, name: str, path: str, result: str, body: Sequence[nodes.Node]) -> str:
        if name not in self.functions:
            lines = _Writer(self, path).block(body)
            # A name that a template gives a value is none of its includer's business.
            text = "\n".join([f"def {name}(v):", "    v = dict(v)", "    out = []", *lines, f"    return {result}"])
            self.functions[name] = text + "\n"
        return name

    def _parse(self, path: str) -> nodes.Template:
        if path not in self.sources:
            raise CannotCompileError(f"there is no template {path} to include")
        return self.environment.parse(self.sources[path], filename=path)

    def _number(self, path: str) -> int:
        return sorted(self.sources).index(path) if path in self.sources else -1


class _Writer:
    """Writes one template's statements as lines of Python, and its expressions."""

    def __init__(self, compiler: _Compiler, path: str) -> None:
        self._compiler = compiler
        self._path = path
        self._loops: list[nodes.For] = []

    def block(self, body: Sequence[nodes.Node]) -> list[str]:
        """Return the statements, indented once; at least one."""
        return [f"    {line}" for node in body for line in self._statement(node)] or ["    pass"]

    def _statement(self, node: nodes.Node) -> list[str]:
        match node:
            case nodes.Output():
                return [self._output(part) for part in node.nodes]
            case nodes.Assign(target=nodes.Name() | nodes.Tuple() as target):
                return [f"{self._target(target)} = {self._expression(node.node)}"]
            case nodes.If():
                lines = [f"if {self._expression(node.test)}:", *self.block(node.body)]
                for other in node.elif_:
                    lines += [f"elif {self._expression(other.test)}:", *self.block(other.body)]
                return [*lines, "else:", *self.block(node.else_)] if node.else_ else lines
            case nodes.For(target=nodes.Name() as target, test=None, recursive=False, else_=[]):
                # What the body gives names to ends with it; `loop` is not among the names.
                outer = f"v_{len(self._loops)}"
                self._loops.append(node)
                return [
                    f"{outer} = v",
                    f"for v in [{{**v, {target.name!r}: one}} for one in {self._expression(node.iter)}]:",
                    *self.block(node.body),
                    f"v = {outer}",
                ]
            case nodes.Include(template=nodes.Const(value=str(path)), with_context=True, ignore_missing=False):
                return [f"out.append({self._compiler.renderer(path)}(v))"]
            case nodes.FromImport(template=nodes.Const(value=str(path)), with_context=True):
                pairs = [(name, name) if isinstance(name, str) else name for name in node.names]
                exported = f"exported = {self._compiler.exporter(path)}(v)"
                return [exported, *(f"v[{alias!r}] = exported[{name!r}]" for name, alias in pairs)]
            case nodes.Macro(defaults=[]):
                parameters = ", ".join(argument.name for argument in node.args)
                given = "".join(f", {argument.name!r}: {argument.name}" for argument in node.args)
                return [
                    f"def macro({parameters}, *, v=v):" if parameters else "def macro(*, v=v):",
                    f"    v, out = {{**v{given}}}, []",
                    *self.block(node.body),
                    "    return ''.join(out)",
                    f"v[{node.name!r}] = macro",
                ]
        raise self._cannot(node)

    def _target(self, node: nodes.Expr) -> str:
        match node:
            case nodes.Name():
                return f"v[{node.name!r}]"
            case nodes.Tuple():
                return "".join(f"{self._target(item)}, " for item in node.items)
        raise self._cannot(node)

    def _output(self, node: nodes.Expr) -> str:
        if isinstance(node, nodes.TemplateData):
            return f"out.append({node.data!r})"
        return f"out.append(str({self._expression(node)}))"

    def _expression(self, node: nodes.Node) -> str:
        match node:
            case nodes.Const():
                return repr(node.value)
            case nodes.Name():
                return f"v[{node.name!r}]"
            case nodes.List() | nodes.Tuple():
                return f"[{self._list(node.items)}]" if isinstance(node, nodes.List) else f"({self._list(node.items)},)"
            case nodes.Concat():
                return f"''.join(map(str, [{self._list(node.nodes)}]))"
            case nodes.CondExpr():
                # Without an `else`, Jinja2 takes something that is false and prints nothing, in strict templates too.
                other = "''" if node.expr2 is None else self._expression(node.expr2)
                return f"({self._expression(node.expr1)} if {self._expression(node.test)} else {other})"
            case nodes.Not():
                return f"(not {self._expression(node.node)})"
            case nodes.BinExpr() if type(node) in _OPERATORS:
                return f"({self._expression(node.left)} {_OPERATORS[type(node)]} {self._expression(node.right)})"
            case nodes.Compare():
                ops = "".join(f" {_COMPARISONS[op.op]} {self._expression(op.expr)}" for op in node.ops)
                return f"({self._expression(node.expr)}{ops})"
            case nodes.Test(name="defined", node=nodes.Name() as name):
                return f"({name.name!r} in v)"
            case nodes.Test(name="none"):
                return f"({self._expression(node.node)} is None)"
            case nodes.Filter(name="default", node=nodes.Name() as name, args=[other], kwargs=[]):
                return f"(v[{name.name!r}] if {name.name!r} in v else {self._expression(other)})"
            case nodes.Filter(name="replace", node=nodes.Expr() as text, args=[_, _], kwargs=[]):
                before, after = (f"str({self._expression(argument)})" for argument in node.args)
                return f"str({self._expression(text)}).replace({before}, {after})"
            case nodes.Filter(dyn_args=None, dyn_kwargs=None) if node.name in FILTERS and node.node is not None:
                arguments = self._arguments([node.node, *node.args], node.kwargs)
                return f"FILTERS[{node.name!r}]({arguments})"
            case nodes.Call(node=nodes.Name() as name, dyn_args=None, dyn_kwargs=None):
                return f"v[{name.name!r}]({self._arguments(node.args, node.kwargs)})"
        raise self._cannot(node)

    def _arguments(self, args: Sequence[nodes.Node], kwargs: Sequence[nodes.Node]) -> str:
        named = [f"{pair.key}={self._expression(pair.value)}" for pair in kwargs if isinstance(pair, nodes.Keyword)]
        return ", ".join([*map(self._expression, args), *named])

    def _list(self, items: Sequence[nodes.Node]) -> str:
        return ", ".join(map(self._expression, items))

    def _cannot(self, node: nodes.Node) -> CannotCompileError:
        return CannotCompileError(f"{self._path}, line {node.lineno}: {type(node).__name__} is not compiled")
