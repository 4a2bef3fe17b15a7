"""The author that answers with the Triton kernels of flag-gems as it is installed: the file of an operator, and a function around it.

flag-gems is read here and not imported: it refuses to be where there is no GPU. The file that is written imports it where it is judged.
"""

from __future__ import annotations

import ast
import functools
import importlib.util
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from backend_bench.authors.author import Answer, Author, Request
from backend_bench.errors import UsageError
from backend_bench.languages import recognise
from backend_bench.operator import Operator

INSTALL = "pip install --no-deps flag-gems sqlalchemy"
"""It asks for an exact version of numpy and needs none; PyYAML and packaging come with nearly everything."""
_REGISTERED = "_FULL_CONFIG"
"""The table of flag-gems that names an operator's function, for `flag_gems.enable`. What it has for one generation of GPUs only (`fill`, `mm`,
`mul` and `sqrt` on Hopper) replaces some of them there, and is left aside here."""
_PACKAGES = ("experimental_ops", "fused", "ops")
"""In the order in which flag-gems imports their names: a later one stands."""
_RELATIVE = re.compile(r"\bfrom\s*\.[.\w]*\s+")
_PREFACE = """\
import os

os.environ.setdefault("GEMS_VENDOR", "nvidia")  # otherwise flag-gems runs the tools of all makers to see which answers
"""


@dataclass(frozen=True, slots=True)
class Function:
    """One function of flag-gems."""

    module: str
    """`flag_gems.ops.relu`."""
    name: str


@dataclass(frozen=True)
class FlagGems(Author):
    """Writes Triton, the same at every turn."""

    folder: Path
    """Of the installed package."""

    @classmethod
    def here(cls) -> FlagGems:
        """Raises `UsageError` where this Python has no flag-gems, or one that is laid out in another way."""
        spec = importlib.util.find_spec("flag_gems")
        if spec is None or spec.origin is None:
            raise UsageError(
                "builtin/flag-gems needs flag-gems in the Python that runs it, "
                f"and where kernels are judged: {INSTALL}"
            )
        author = cls(Path(spec.origin).parent)
        if not author.functions:
            raise UsageError(f"this flag-gems is none that can be read: {spec.origin} has no {_REGISTERED}")
        return author

    def answer(self, request: Request) -> Answer:
        """The file of flag-gems that has the operator."""
        op = Operator.from_folder(request.folder)
        function = self.functions.get(str(op))
        if function is None:
            return Answer(f"flag-gems registers no kernel for `{op}`.")
        code = self._file(function, op)
        if recognise(code) != "triton":
            return Answer(
                f"`{function.module}` defines no kernel: it calls those of another file, or writes them when it is called."
            )
        return Answer(f"This is `{function.name}` of `{function.module}`.", code)

    @functools.cached_property
    def functions(self) -> Mapping[str, Function]:
        """Of each operator that flag-gems registers, `add.Tensor`."""
        defined = {name: found for package in _PACKAGES for name, found in self._exported(package)}
        return {str(Operator.parse(op)): defined[name] for op, name in self._registered() if name in defined}

    def _registered(self) -> Iterator[tuple[str, str]]:
        """Operators as the table spells them, and the names of their functions."""
        for node in _parsed(self.folder / "__init__.py").body:
            if isinstance(node, ast.Assign) and any(
                isinstance(target, ast.Name) and target.id == _REGISTERED for target in node.targets
            ):
                for row in getattr(node.value, "elts", []):
                    match row:  # behind them there may be a condition, about versions of torch before ours
                        case ast.Tuple(elts=[ast.Constant(value=str(op)), ast.Name(id=function), *_]):
                            yield op, function

    def _exported(self, package: str) -> Iterator[tuple[str, Function]]:
        """What one of its packages hands on, by name."""
        file = self.folder / package / "__init__.py"
        for node in ast.walk(_parsed(file)) if file.is_file() else ():
            if isinstance(node, ast.ImportFrom):
                module = _absolute(node, f"flag_gems.{package}")
                for alias in node.names:
                    yield alias.asname or alias.name, Function(module, alias.name)

    def _file(self, function: Function, op: Operator) -> str:
        """The text of its module, which imports nothing by a relative name, and the function that the judge asks for."""
        file = self.folder.joinpath(*function.module.split(".")[1:]).with_suffix(".py")
        home = function.module.rpartition(".")[0]
        if not file.is_file():
            file, home = file.with_suffix("") / "__init__.py", function.module
        text = file.read_text(encoding="utf-8")
        lines, tree = text.split("\n"), ast.parse(text, str(file))
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.level:
                first = node.lineno - 1
                lines[first] = _RELATIVE.sub(f"from {_absolute(node, home)} ", lines[first], count=1)
        begin = next((_first_line(node) for node in tree.body if not _must_come_first(node)), 1) - 1
        lines[begin:begin] = _PREFACE.split("\n")
        call = f"def {op.function}(*args, **kwargs):\n    return {function.name}(*args, **kwargs)"
        text = "\n".join([*lines, "", "", call, ""])
        _check(text, file)
        return text


def _check(text: str, file: Path) -> None:
    """Raise `UsageError` unless the text is Python and names all modules in full."""
    try:
        left = [node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.ImportFrom) and node.level]
    except SyntaxError as error:
        raise UsageError(f"{file} cannot be made a kernel file: {error}") from error
    if left:
        raise UsageError(f"{file} cannot be made a kernel file: {ast.unparse(left[0])}")


def _first_line(node: ast.stmt) -> int:
    """With its decorators."""
    decorators: list[ast.expr] = getattr(node, "decorator_list", [])
    return min([node.lineno, *(decorator.lineno for decorator in decorators)])


def _parsed(file: Path) -> ast.Module:
    return ast.parse(file.read_text(encoding="utf-8"), str(file))


def _absolute(node: ast.ImportFrom, package: str) -> str:
    """The module that an import names, which stands in a module of `package`."""
    if not node.level:
        return node.module or ""
    parents = package.split(".")
    return ".".join([*parents[: len(parents) - node.level + 1], *([node.module] if node.module else [])])


def _must_come_first(node: ast.stmt) -> bool:
    """A docstring or an import from the future."""
    is_text = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    return is_text or (isinstance(node, ast.ImportFrom) and node.module == "__future__")
