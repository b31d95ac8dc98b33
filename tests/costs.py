"""What tests cost, told at the end of a session: those that took most of the processor, and how large a process grew.

Both only told: a busy machine makes nothing fail. CPU time is that of the process and of the children that have ended;
PostgreSQL's, and that of servers which several tests share, is not in it.
"""

from __future__ import annotations

import resource
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

DEAR_S = 5.0
"""From so many seconds of CPU time a test is named: a thousandth of what a whole session may take."""
NAMED = 20
SPENT, SIZE = "cpu_s", "size"
_began: dict[str, float] = {}
_sizes: dict[str, str] = {}


def spent_s() -> float:
    """Return the CPU time of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)


def size() -> str:
    """Return how much memory this process had when it had most, and how many files it has open: more than 1024 are
    too many for `select`, here and in libraries.
    """  # fmt: skip
    mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    return f"{mb} MB, {len([*Path('/dev/fd').iterdir()])} open files"


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid: str) -> None:
    _began[nodeid] = spent_s()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, Any, Any]:
    try:
        return (yield)
    finally:
        item.user_properties.append((SPENT, spent_s() - _began.pop(item.nodeid)))


def pytest_sessionfinish(session: pytest.Session) -> None:
    output: dict[str, Any] | None = getattr(session.config, "workeroutput", None)
    if output is not None:
        output[SIZE] = size()


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    told: dict[str, str] = getattr(node, "workeroutput", {})
    if SIZE in told:
        _sizes[node.gateway.id] = told[SIZE]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    ended = [each for each in terminalreporter.stats.get("", []) if getattr(each, "when", "") == "teardown"]
    spent = [(seconds, each.nodeid) for each in ended for name, seconds in each.user_properties if name == SPENT]
    dear = sorted(((seconds, nodeid) for seconds, nodeid in spent if seconds >= DEAR_S), reverse=True)
    sizes = "; ".join(f"{name} {each}" for name, each in sorted((_sizes or {"this process": size()}).items()))
    terminalreporter.section("what it cost")
    terminalreporter.write_line(
        f"{sum(seconds for seconds, _ in spent):.0f} s of CPU time, {len(spent)} tests; {sizes}"
    )
    for seconds, nodeid in dear[:NAMED]:
        terminalreporter.write_line(f"{seconds:6.1f} s {nodeid}")
