"""What is told of a process of the test session that died: which test it ran, how it ended, what it said last.

xdist tells only that it is gone: a process that the kernel killed, a crash in native code and an exit look the same,
and what it wrote on its streams is lost. So each writes its last words into a file, and who started it puts them into
the report of the test that it ran. The session ends then: each of the others still ends the test it is at.
"""

from __future__ import annotations

import faulthandler
import os
import signal
import subprocess
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from tests import shared

STOP = "a process of the tests died"
PATIENCE_S = 5
_words: list[IO[str]] = []
_ends: dict[str, str] = {}
_killed: list[int] = []


def last_words() -> IO[str]:
    """Return where this process may write to its end."""
    return _words[0]


def note(text: str) -> None:
    """Write something down, at once."""
    words = last_words()
    words.write(f"{text}\n")
    words.flush()


def pytest_configure(config: pytest.Config) -> None:
    """Let the last words be kept where nobody sees what this process writes elsewhere."""
    given: dict[str, str] | None = getattr(config, "workerinput", None)
    _words.append(os.fdopen(os.dup(2), "w") if given is None else _words_of(given["workerid"]).open("w"))
    _killed.append(_killed_for_memory())


def pytest_sessionstart() -> None:
    """Let a crash in native code be among them."""
    faulthandler.enable(last_words())


def pytest_unconfigure() -> None:
    """Write no more."""
    faulthandler.disable()
    _words.pop().close()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Generator[None, Any, Any]:
    """Forget what was written once a test has ended, and end this process too when another has died."""
    done = yield
    if "workerinput" in item.config.__dict__ and _words[0].tell():
        _words[0].seek(0)
        _words[0].truncate()
    if _stop().exists():
        item.session.shouldstop = STOP
    return done


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any, error: object) -> None:
    """Look how a process ended, and have the session end."""
    if error is not None:
        _stop().touch()
        _ends[node.gateway.id] = "\n".join(_end(node.gateway))


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(report: pytest.TestReport) -> None:
    """Put it into the report of the test that it ran."""
    node: Any = report.__dict__["node"]
    report.longrepr = f"{report.longrepr}\n{_ends[node.gateway.id]}"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say at the end which died: of one that was at no test there is no report."""
    for name, end in _ends.items():
        terminalreporter.section(f"{name} died")
        terminalreporter.write_line(end)


def _end(gateway: Any) -> Iterator[str]:
    process: subprocess.Popen[bytes] = gateway._io.popen
    try:
        code = process.wait(PATIENCE_S)
    except subprocess.TimeoutExpired:
        yield "it lives, but what connected it is closed; what follows is where it is"
        process.send_signal(signal.SIGABRT)
        code = process.wait(PATIENCE_S)
    yield f"it was ended by {signal.Signals(-code).name}" if code < 0 else f"it exited with {code}"
    if (killed := _killed_for_memory() - _killed[0]) > 0:
        yield f"this machine had no memory left: since the tests began its kernel has killed {killed} processes"
    file = _words_of(gateway.id)
    if file.exists() and (said := file.read_text("utf-8", "replace").strip()):
        yield f"its last words:\n{said}"


def _killed_for_memory() -> int:
    """Return how many processes this machine has killed because it had no memory left, as far as it tells."""
    try:
        lines = Path("/proc/vmstat").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith("oom_kill "))


def _words_of(name: str) -> Path:
    return shared.directory() / f"{name}.words"


def _stop() -> Path:
    return shared.directory() / "stop"
