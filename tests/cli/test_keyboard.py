"""What is typed here goes to the run's command: key by key from a terminal, piece by piece from a pipe."""

from __future__ import annotations

import fcntl
import os
import pty
import resource
import signal
import struct
import sys
import termios
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from runwright.cli.keyboard import LET_GO, Keyboard
from runwright.client.errors import ServerUnreachable
from runwright.client.terminal_models import TerminalFrame

PATIENCE_S = 20


class Stream:
    """What a keyboard did to a terminal."""

    def __init__(self) -> None:
        self.done: list[tuple[Any, ...]] = []
        self.closed = False
        self.cut = False
        self._news = threading.Condition()

    def _did(self, *what: Any) -> str:
        with self._news:
            self.done.append(what)
            self._news.notify_all()
        if self.cut:
            self.cut = False
            raise ServerUnreachable("http://here", "cut")
        return str(len(self.done))

    def type(self, data: bytes) -> str:
        return self._did("type", data)

    def end(self) -> str:
        return self._did("end")

    def resize(self, cols: int, rows: int) -> str:
        return self._did("size", cols, rows)

    def close(self) -> None:
        self.closed = True
        self._did("close")

    def has_done(self, count: int) -> list[tuple[Any, ...]]:
        with self._news:
            assert self._news.wait_for(lambda: len(self.done) >= count, PATIENCE_S), self.done
        return self.done


def put_in_place(monkeypatch: pytest.MonkeyPatch, fd: int, *, tty: bool) -> int:
    kept = os.dup(0)
    os.dup2(fd, 0)
    monkeypatch.setattr(sys, "stdin", type("Input", (), {"isatty": lambda self: tty})())
    return kept


@pytest.fixture
def terminal(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Type at a terminal of 90 by 30."""
    ours, theirs = pty.openpty()
    termios.tcsetwinsize(theirs, (30, 90))
    kept = put_in_place(monkeypatch, theirs, tty=True)
    monkeypatch.setattr("shutil.get_terminal_size", lambda: os.terminal_size(_size(0)))
    yield ours
    os.dup2(kept, 0)
    for fd in (kept, ours, theirs):
        os.close(fd)


@pytest.fixture
def pipe(monkeypatch: pytest.MonkeyPatch) -> Iterator[int]:
    """Type into a pipe."""
    theirs, ours = os.pipe()
    kept = put_in_place(monkeypatch, theirs, tty=False)
    os.close(theirs)
    yield ours
    os.dup2(kept, 0)
    os.close(kept)


def _size(fd: int) -> tuple[int, int]:
    rows, cols, _, _ = struct.unpack("HHHH", fcntl.ioctl(fd, termios.TIOCGWINSZ, bytes(8)))
    return cols, rows


def frame(t: str, **more: Any) -> TerminalFrame:
    return TerminalFrame(t=t, **more)


def test_every_key_goes_at_once_and_control_bracket_lets_go(terminal: int):
    stream, told = Stream(), list[str]()
    before = termios.tcgetattr(0)
    with Keyboard(lambda _: stream, told.append) as keyboard:  # type: ignore[arg-type,return-value]
        assert not termios.tcgetattr(0)[3] & (termios.ECHO | termios.ICANON | termios.ISIG)
        os.write(terminal, b"a")
        stream.has_done(1)
        os.write(terminal, b"\x03")
        stream.has_done(2)
        os.write(terminal, b"b" + LET_GO + b"c")
        stream.has_done(4)
    assert stream.done == [("type", b"a"), ("type", b"\x03"), ("type", b"b"), ("close",)]
    assert (keyboard.let_go, told) == (True, [])
    assert termios.tcgetattr(0) == before, "the terminal is as it was"


def test_keys_are_read_where_very_many_files_are_open(terminal: int):
    stream = Stream()
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 4096), hard))
    many = [os.dup(0) for _ in range(1100)]
    try:
        with Keyboard(lambda _: stream, print):  # type: ignore[arg-type,return-value]
            os.write(terminal, b"a" + LET_GO)
            stream.has_done(2)
    finally:
        for fd in many:
            os.close(fd)
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    assert stream.done == [("type", b"a"), ("close",)]


def test_the_size_comes_along_at_each_beginning_and_each_change(terminal: int):
    stream = Stream()
    with Keyboard(lambda _: stream, print) as keyboard:  # type: ignore[arg-type,return-value]
        keyboard.hear(frame("command_start", tty=False))
        keyboard.hear(frame("command_start", tty=True))
        stream.has_done(1)
        termios.tcsetwinsize(0, (40, 120))
        signal.raise_signal(signal.SIGWINCH)
        stream.has_done(2)
    assert stream.done == [("size", 90, 30), ("size", 120, 40)]


def test_what_is_refused_or_cut_off_is_told_and_the_next_key_goes(terminal: int):
    stream, told = Stream(), list[str]()
    with Keyboard(lambda _: stream, told.append) as keyboard:  # type: ignore[arg-type,return-value]
        keyboard.hear(frame("error", id="1", code="TERMINAL_READ_ONLY", message="nobody reads"))
        stream.cut = True
        os.write(terminal, b"a")
        stream.has_done(1)
        os.write(terminal, b"b")
        stream.has_done(2)
    assert told[0] == "TERMINAL_READ_ONLY: nobody reads"
    assert "may be lost" in told[1]


def test_a_pipe_waits_for_a_command_that_reads_and_for_each_answer(pipe: int):
    stream = Stream()
    with Keyboard(lambda _: stream, print) as keyboard:  # type: ignore[arg-type,return-value]
        os.write(pipe, b"one")
        keyboard.hear(frame("command_start", command_id="a"))
        assert stream.done == []
        keyboard.hear(frame("command_start", command_id="b", stdin=True))
        stream.has_done(1)
        os.write(pipe, b"two")
        keyboard.hear(frame("input", id="of another"))
        keyboard.hear(frame("error", id="1", code="TERMINAL_READ_ONLY"))
        keyboard.hear(frame("command_start", command_id="c", stdin=True))
        stream.has_done(2)
        keyboard.hear(frame("input", id="2"))
        stream.has_done(3)
        os.close(pipe)
        keyboard.hear(frame("input", id="3"))
        stream.has_done(4)
        keyboard.hear(frame("input", id="4"))
    assert stream.done == [("type", b"one"), ("type", b"one"), ("type", b"two"), ("end",)]


def test_a_pipe_that_is_still_full_when_the_run_ends_holds_up_nobody(pipe: int):
    stream = Stream()
    with Keyboard(lambda _: stream, print) as keyboard:  # type: ignore[arg-type,return-value]
        os.write(pipe, b"one")
        keyboard.hear(frame("command_start", stdin=True))
        stream.has_done(1)
    keyboard._thread.join(PATIENCE_S)
    assert not keyboard._thread.is_alive()
    os.close(pipe)
