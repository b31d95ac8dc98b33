"""The source tree as the house tests see it: every module, read once, and parsed for whoever looks into it.

The syntax trees of all modules would fill half a gigabyte: they are not kept, and who looks for something that has a
name looks into the modules that say it.
"""

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parents[2]
SRC = ROOT / "src" / "runwright"
WEAK = ROOT / "tests" / "fixtures" / "loops"
"""Projects that are weak on purpose: what loops repair in tests."""

Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Module:
    """One Python file: where it lies from the root, and its text."""

    path: str
    text: str

    @property
    def tree(self) -> ast.Module:
        """Return the syntax tree, parsed anew."""
        return ast.parse(self.text)

    @property
    def room(self) -> str:
        """Return the first name under src/runwright (`engine`, `clock.py`), or the top directory elsewhere."""
        parts = self.path.split("/")
        return parts[2] if parts[0] == "src" else parts[0]

    def says(self, *words: str) -> bool:
        """Tell whether any of these stands in the text, wherever."""
        return any(word in self.text for word in words)

    def functions(self) -> Iterator[Function]:
        """Yield every function and method, nested ones too."""
        yield from (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def calls(self) -> Iterator[tuple[str, ast.Call]]:
        """Yield every call with the dotted name it is written with (`self.store.apply`); other callees have none."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Call):
                yield dotted(node.func), node

    def imports(self) -> Iterator[str]:
        """Yield the dotted name of every imported module or member."""
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                yield from (alias.name for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                yield from (f"{node.module}.{alias.name}" for alias in node.names)

    def at(self, node: ast.AST) -> str:
        """Return `path:line` of a node, as editors open it."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def dotted(node: ast.expr) -> str:
    """Return the dotted name of an expression; a part that is no name reads as nothing (`().apply`)."""
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=name):
            return f"{dotted(value)}.{name}"
        case ast.Subscript(value=value):
            return dotted(value)
        case _:
            return "()"


@cache
def modules(*tops: str) -> tuple[Module, ...]:
    """Return the modules under these directories of the root, in order of their paths."""
    found = (path for top in tops for path in sorted((ROOT / top).rglob("*.py")))
    return tuple(_module(path) for path in found if not path.is_relative_to(WEAK))


@cache
def _module(path: Path) -> Module:
    return Module(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))


def source() -> tuple[Module, ...]:
    """Return the modules of the package."""
    return modules("src")


def everything() -> tuple[Module, ...]:
    """Return every module of the repository."""
    return modules("src", "tests", "benchmarks", "docs", "examples")
