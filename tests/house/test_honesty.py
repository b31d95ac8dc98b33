"""Tests that wait, skip or pretend prove nothing."""

import ast
import re

from tests.house.tree import Module, everything, modules, source

SLEEPERS = ("src/runwright/clock.py", "src/runwright/client/")
WAITING = "tests/waiting.py"
SKIPS = (
    "pytest.skip",
    "pytest.xfail",
    "pytest.mark.skip",
    "pytest.mark.skipif",
    "pytest.mark.xfail",
    "pytest.importorskip",
)
MOCKS = ("unittest.mock", "pytest_mock", "mock")


def test_no_test_sleeps() -> None:
    assert [where for m in modules("tests", "benchmarks") if m.path != WAITING for where in sleeps(m)] == []


def test_in_the_package_only_the_clock_sleeps() -> None:
    assert [where for m in source() if not m.path.startswith(SLEEPERS) for where in sleeps(m)] == []


def test_no_test_is_skipped_or_expected_to_fail() -> None:
    skipped = [
        m.path for m in modules("tests") if m.path != "tests/house/test_honesty.py" if any(s in m.text for s in SKIPS)
    ]
    assert skipped == []


def test_no_test_mocks() -> None:
    mocking = (m for m in modules("tests") if m.says("mock"))
    assert [m.path for m in mocking for name in m.imports() if name.startswith(MOCKS)] == []


def test_every_type_ignore_names_its_error() -> None:
    blanket = re.compile(r"#\s*type:\s*ignore(?!\[)")
    found = [
        f"{m.path}:{number}"
        for m in everything()
        for number, line in enumerate(m.text.splitlines(), 1)
        if blanket.search(line) and m.path != "tests/house/test_honesty.py"
    ]
    assert found == []


def test_test_names_are_sentences() -> None:
    short = re.compile(r"^ *(?:async )?def test_[a-z0-9]+\(", re.MULTILINE)
    assert [f"{m.path}: {name}" for m in modules("tests") for name in short.findall(m.text)] == []


def sleeps(module: Module) -> list[str]:
    """Return where a module sleeps for more than one turn of the loop."""
    if not module.says("sleep"):
        return []
    return [
        module.at(call)
        for name, call in module.calls()
        if name in {"time.sleep", "asyncio.sleep", "anyio.sleep"} and not yields(call)
    ]


def yields(call: ast.Call) -> bool:
    """Tell whether a sleep is `sleep(0)`: giving the turn away, not waiting."""
    return len(call.args) == 1 and isinstance(call.args[0], ast.Constant) and call.args[0].value == 0
