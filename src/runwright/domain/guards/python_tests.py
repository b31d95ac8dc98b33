"""What the tests of a Python file are and how much they assert, read from its syntax and never by running it.

Each test is weighed: an assertion that compares weighs more than one that something is there, one that is always true
weighs nothing, and neither does what cannot be reached or whose failure is caught. Syntax that is too deep or too large
for the parser is told as unreadable, for which the guards refuse.
"""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterable, Iterator

import msgspec

SOURCE_MAX = 400_000
"""The most characters of a file that are parsed."""
_SKIPS = frozenset({
    "skip", "skipif", "xfail", "skipTest", "SkipTest", "skipIf", "skipUnless", "expectedFailure", "importorskip",
    "exit",
})  # fmt: skip
_HOOKS = frozenset({
    "collect_ignore", "collect_ignore_glob", "__test__", "pytest_collection_modifyitems", "pytest_ignore_collect",
    "pytest_collect_file", "pytest_runtest_call", "pytest_runtest_makereport", "pytest_runtest_protocol",
    "pytest_pyfunc_call", "pytest_sessionfinish", "load_tests",
})  # fmt: skip
_ANYWHERE = frozenset({"_exit", "PYTEST_CURRENT_TEST"})
"""What ends the process of the tests as if all were well, and what tells code that it is tested."""
_RUNNERS = frozenset({"pytest", "_pytest", "unittest", "nose"})
_COLLECTED = re.compile(r"(?:test_.*|.*_test|tests?)\.py\Z")
_BROAD = frozenset({"Exception", "BaseException", "AssertionError"})
_COMPARED, _PRESENT = 2, 1
_WEAK = frozenset({
    "assertTrue", "assertFalse", "assertIsNotNone", "assertIsNone", "assert_called", "assert_awaited",
})  # fmt: skip
Function = ast.FunctionDef | ast.AsyncFunctionDef
Block = list[ast.stmt]


class Unreadable(Exception):
    """Say that a file is no Python, or more of it than is read."""


class Test(msgspec.Struct, frozen=True, kw_only=True):
    """A test: its name within classes, how much it asserts (`live`: where it is reached), and how many cases it has.

    `body` is the same for tests that do the same.
    """

    name: str
    line: int
    body: str
    weight: int
    live: int
    statements: int
    cases: int


class Tests(msgspec.Struct, frozen=True):
    """What a file tests: `tests` by name, and how often each word occurs by which tests are skipped.

    `others` do what a test does under a name that is not collected; `helpers` is what all other functions assert.
    """

    tests: dict[str, Test]
    skips: Counter[str]
    dead: int
    others: frozenset[str]
    helpers: int


NONE = Tests({}, Counter(), 0, frozenset(), 0)


def collected(path: str) -> bool:
    """Tell whether a file is one whose tests are found by its name."""
    return _COLLECTED.match(path.rpartition("/")[2]) is not None


def tests_of(source: str, path: str) -> Tests:
    """Return what a file tests. Raises `Unreadable`."""
    if len(source) > SOURCE_MAX:
        raise Unreadable(f"it has more than {SOURCE_MAX} characters")
    try:
        tree = ast.parse(source)
        found: dict[str, Test] = {}
        others: set[str] = set()
        for name, function, counts in _functions(tree.body, "", collected(path)):
            if function is None:
                found.pop(name, None)
            elif counts:
                found[name] = _test(name, function)
            else:
                others.add(_body(function))
        skips = Counter(_words(tree))
        dead = sum(_constant(node.test) is False for node in ast.walk(tree) if isinstance(node, ast.If | ast.While))
        own = sum(test.weight for test in found.values())
        return Tests(found, skips, dead, frozenset(others), max(0, _weight(tree.body) - own))
    except (SyntaxError, ValueError, RecursionError, MemoryError) as wrong:
        raise Unreadable(f"it cannot be read as Python ({type(wrong).__name__})") from None


def _functions(body: Block, prefix: str, counts: bool) -> Iterator[tuple[str, Function | None, bool]]:
    """Yield each function with whether it is a test, and the name of each that is taken away again."""
    for statement in body:
        if isinstance(statement, Function):
            yield prefix + statement.name, statement, counts and statement.name.startswith("test")
        elif isinstance(statement, ast.ClassDef):
            yield from _functions(statement.body, f"{prefix}{statement.name}.", counts and _test_class(statement))
        elif isinstance(statement, ast.Assign | ast.Delete):
            for target in statement.targets:
                if isinstance(target, ast.Name):
                    yield prefix + target.id, None, False
        elif isinstance(statement, ast.If):
            known = _constant(statement.test)
            yield from _functions(statement.body, prefix, counts and known is not False)
            yield from _functions(statement.orelse, prefix, counts and known is not True)
        elif isinstance(statement, ast.Try | ast.With):
            yield from _functions(statement.body, prefix, counts)


def _test_class(statement: ast.ClassDef) -> bool:
    names = (each.attr if isinstance(each, ast.Attribute) else getattr(each, "id", "") for each in statement.bases)
    return statement.name.startswith("Test") or any("Test" in name for name in names)


def _test(name: str, function: Function) -> Test:
    return Test(
        name=name,
        line=function.lineno,
        body=_body(function),
        weight=_weight(function.body),
        live=_live(function.body)[0],
        statements=sum(not _idle(each) for each in function.body),
        cases=_cases(function),
    )


def _body(function: Function) -> str:
    return "\n".join(ast.dump(each) for each in function.body)


def _idle(statement: ast.stmt) -> bool:
    value = getattr(statement, "value", None)
    return isinstance(statement, ast.Pass) or (isinstance(statement, ast.Expr) and isinstance(value, ast.Constant))


def _words(tree: ast.Module) -> Iterator[str]:
    """Yield each word by which tests are skipped, where it is one of those who run tests."""
    roots, named = {"self", "cls"}, set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            module = (getattr(node, "module", None) or "").partition(".")[0]
            for each in node.names:
                if module in _RUNNERS or each.name.partition(".")[0] in _RUNNERS:
                    roots.add((each.asname or each.name).partition(".")[0])
                if module in _RUNNERS and each.name in _SKIPS:
                    named.add(each.asname or each.name)
                    yield each.name
    for node in ast.walk(tree):
        if isinstance(node, ast.Name) and (node.id in named or node.id in _HOOKS):
            yield node.id
        elif isinstance(node, ast.Attribute) and (
            node.attr in _ANYWHERE or (node.attr in _SKIPS and _root(node) in roots)
        ):
            yield node.attr
        elif isinstance(node, Function) and node.name in _HOOKS:
            yield node.name
        elif isinstance(node, ast.Constant) and node.value in _ANYWHERE:
            yield str(node.value)
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in {"getattr", "setattr"}:
            yield from (
                str(each.value) for each in node.args if isinstance(each, ast.Constant) and each.value in _SKIPS
            )


def _root(node: ast.expr) -> str:
    """Return what an attribute is finally of; `self` of what has no name, which is taken for the worst."""
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else "self"


def _cases(function: Function) -> int:
    """Return how many cases the lists of `parametrize` make, where they are written down."""
    count = 1
    for each in function.decorator_list:
        if isinstance(each, ast.Call) and isinstance(each.func, ast.Attribute) and each.func.attr == "parametrize":
            values = each.args[1:2] + [word.value for word in each.keywords if word.arg == "argvalues"]
            count *= len(values[0].elts) if values and isinstance(values[0], ast.List | ast.Tuple) else 1
    return count


def _weight(body: Iterable[ast.stmt]) -> int:
    return sum(_worth(node) for statement in body for node in ast.walk(statement))


def _worth(node: ast.AST) -> int:
    if isinstance(node, ast.Assert):
        return _certainty(node.test)
    if not isinstance(node, ast.Call):
        return 0
    name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
    if name in {"raises", "assertRaises", "assertRaisesRegex", "warns", "assertWarns", "deprecated_call"}:
        broad = not node.args or getattr(node.args[0], "id", "") in _BROAD
        return _PRESENT if broad else _COMPARED
    if name.lower().startswith("assert") or name in {"fail", "failUnless"}:
        if node.args and all(_constant(each) is not None for each in node.args[:2]) and name != "fail":
            return 0
        return _PRESENT if name in _WEAK else _COMPARED
    return 0


def _certainty(test: ast.expr) -> int:
    """Return what an assertion weighs: nothing if it is always true."""
    if _constant(test) is not None or isinstance(test, ast.Tuple | ast.List | ast.JoinedStr | ast.Lambda):
        return 0
    if isinstance(test, ast.BoolOp):
        each = [_certainty(value) for value in test.values]
        return min(each) if isinstance(test.op, ast.Or) else sum(each)
    if isinstance(test, ast.Compare):
        same = len(test.comparators) == 1 and ast.dump(test.left) == ast.dump(test.comparators[0])
        if same:
            return 0
        loose = isinstance(test.ops[0], ast.IsNot) and _is_none(test.comparators[0])
        return _PRESENT if loose else _COMPARED
    return _COMPARED if isinstance(test, ast.UnaryOp) else _PRESENT


def _is_none(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and node.value is None


def _constant(node: ast.expr) -> bool | None:
    """Return what an expression always is; None of one of which that cannot be said at a glance."""
    if isinstance(node, ast.Constant):
        return bool(node.value)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
        inner = _constant(node.operand)
        return None if inner is None else not inner
    if isinstance(node, ast.Name) and node.id == "TYPE_CHECKING":
        return False
    if isinstance(node, ast.BoolOp):
        each = [_constant(value) for value in node.values]
        decisive = isinstance(node.op, ast.Or)
        if decisive in each:
            return decisive
        return None if None in each else not decisive
    return None


def _live(body: Block) -> tuple[int, bool]:
    """Return how much is asserted where it is reached, and whether what follows the block is not."""
    total = 0
    for statement in body:
        weight, ends = _reached(statement)
        total += weight
        if ends:
            return total, True
    return total, False


def _reached(statement: ast.stmt) -> tuple[int, bool]:
    if isinstance(statement, ast.Return | ast.Raise | ast.Continue | ast.Break):
        return _weight([statement]), True
    if isinstance(statement, ast.If | ast.While):
        known = _constant(statement.test)
        inner = _live(statement.body) if known is not False else (0, False)
        other = _live(statement.orelse) if known is not True else (0, False)
        ends = (inner[1] and known is True) or (other[1] and known is False) or (inner[1] and other[1])
        return inner[0] + other[0], ends and isinstance(statement, ast.If)
    if isinstance(statement, ast.For | ast.AsyncFor):
        empty = isinstance(statement.iter, ast.List | ast.Tuple) and not statement.iter.elts
        return (0 if empty else _live(statement.body)[0]) + _live(statement.orelse)[0], False
    if isinstance(statement, ast.Try):
        caught = any(_catches(each) for each in statement.handlers)
        inner = _live(statement.body)
        rest = _live(statement.finalbody)
        handled = sum(_live(each.body)[0] for each in statement.handlers)
        return (0 if caught and not handled else inner[0]) + handled + rest[0], (inner[1] and not caught) or rest[1]
    if isinstance(statement, ast.With | ast.AsyncWith):
        if any(_suppresses(item.context_expr) for item in statement.items):
            return 0, False
        inner = _live(statement.body)
        own = sum(_worth(node) for item in statement.items for node in ast.walk(item.context_expr))
        return inner[0] + own, inner[1] and not own
    return _weight([statement]), False


def _catches(handler: ast.ExceptHandler) -> bool:
    """Tell whether a handler takes a failed assertion, and goes on."""
    kinds = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    broad = any(kind is None or getattr(kind, "id", getattr(kind, "attr", "")) in _BROAD for kind in kinds)
    return broad and not any(isinstance(node, ast.Raise) for each in handler.body for node in ast.walk(each))


def _suppresses(context: ast.expr) -> bool:
    if not isinstance(context, ast.Call):
        return False
    name = context.func.attr if isinstance(context.func, ast.Attribute) else getattr(context.func, "id", "")
    return name == "suppress" and any(getattr(each, "id", "") in _BROAD for each in context.args)
