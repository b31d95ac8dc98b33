"""What is short is read; what is long is scrolled past."""

from tests.house.tree import Function, modules, source

MODULE_LINES = 400
FUNCTION_LINES = 60
ROUTE_LINES = 15


def test_no_module_has_400_lines() -> None:
    long = {m.path: lines for m in modules("src", "benchmarks") if (lines := len(m.text.splitlines())) >= MODULE_LINES}
    assert long == {}


def test_no_function_has_60_lines() -> None:
    long = {
        m.at(f): length(f) for m in modules("src", "benchmarks") for f in m.functions() if length(f) >= FUNCTION_LINES
    }
    assert long == {}


def test_route_handlers_stay_under_15_lines() -> None:
    handlers = [(m, f) for m in source() if m.path.endswith("/routes.py") for f in m.functions() if f.decorator_list]
    assert {m.at(f): body(f) for m, f in handlers if body(f) >= ROUTE_LINES} == {}


def length(function: Function) -> int:
    """Return the lines from `def` to the end."""
    return (function.end_lineno or function.lineno) - function.lineno + 1


def body(function: Function) -> int:
    """Return the lines of the body without the docstring."""
    first = function.body[1] if len(function.body) > 1 else function.body[0]
    return (function.end_lineno or function.lineno) - first.lineno + 1
