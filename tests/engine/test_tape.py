"""What commands print comes back from the log byte for byte, in its order, without secrets, and only so much of it."""

from hashlib import sha256
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from runwright.client.session import Draft
from runwright.domain.redaction import Redactor, Stream
from runwright.domain.terminal_events import CHUNK_BYTES, TYPES, TerminalOutput, chunks
from runwright.engine.tape import Limits, Tape
from runwright.errors import InvalidRequest
from runwright.executors.terminal import Terminal

SECRET = "hunter2-the-secret"


class Log:
    """What one attempt's tape made of what it was told."""

    def __init__(self, **limits: int) -> None:
        self.tape = Tape(Limits(**limits))
        self.streams: dict[str, Stream] = {}
        self.redactor = Redactor([SECRET])
        self.told: list[tuple[str, dict[str, Any]]] = []

    def emit(self, draft: Draft) -> None:
        self.tape.tell(draft.type, draft.data, self.streams, self.redactor)

    async def save(self, drafts: Any) -> None:
        self.flush()

    def flush(self) -> None:
        self.told += [(each.type, msgspec.json.decode(each.data)) for each in self.tape.take(self.redactor)]

    def close(self) -> None:
        self.tape.close(self.streams, self.redactor)
        self.flush()

    def printed(self, stream: str | None = None, command: str | None = None) -> bytes:
        found = [msgspec.convert(data, TerminalOutput) for type_, data in self.told if type_ == "terminal.output"]
        wanted = [each for each in found if stream in (None, each.stream) and command in (None, each.command_id)]
        return b"".join(each.bytes() for each in wanted)

    def of(self, type_: str) -> list[dict[str, Any]]:
        return [data for each, data in self.told if each == type_]


PIECES = st.lists(
    st.tuples(
        st.sampled_from(["stdout", "stderr"]),
        st.one_of(st.binary(max_size=8), st.sampled_from([b"\xc3", b"\xa9", "é🎉".encode(), b"\x1b[31m", b"hunt"])),
        st.booleans(),
    ),
    max_size=12,
)


@settings(deadline=None, max_examples=60)
@given(PIECES)
async def test_every_byte_comes_back_however_it_was_cut(pieces: list[tuple[str, bytes, bool]]):
    log = Log()
    terminal = Terminal(log, "cmd_1", lambda: 0)
    terminal.begin(["make"])
    for stream, piece, flush in pieces:
        await terminal.heard(stream, piece)
        if flush:
            log.flush()
    terminal.end(0)
    log.flush()
    for name in ("stdout", "stderr"):
        assert log.printed(name) == b"".join(piece for stream, piece, _ in pieces if stream == name)
    (ended,) = log.of("terminal.command_ended")
    assert (ended.get("output_bytes", 0), ended["sha256"]) == (len(log.printed()), sha256(log.printed()).hexdigest())
    assert log.told[0][0] == "terminal.command_started"
    assert log.told[-1][0] == "terminal.command_ended"
    assert {type_ for type_, _ in log.told} <= TYPES


async def test_both_outputs_keep_the_order_in_which_they_arrived():
    log = Log()
    terminal = Terminal(log, "cmd_1", lambda: 0)
    for stream, piece in (("stdout", b"1 "), ("stdout", b"2 "), ("stderr", b"3 "), ("stdout", b"4 ")):
        await terminal.heard(stream, piece)
    log.close()
    told = [(data["stream"], data["chunk"]) for data in log.of("terminal.output")]
    assert told == [("stdout", "1 2 "), ("stderr", "3 "), ("stdout", "4 ")]


@pytest.mark.parametrize("at", range(1, len(SECRET)))
async def test_a_secret_that_is_split_over_two_writes_is_never_written(at: int):
    log = Log()
    terminal = Terminal(log, "cmd_1", lambda: 0)
    begin, rest = SECRET[:at].encode(), SECRET[at:].encode()
    for stream, piece in (("stdout", b"key=" + begin), ("stderr", b"x"), ("stdout", rest + b"\n")):
        await terminal.heard(stream, piece)
        log.flush()
    terminal.end(0)
    log.flush()
    assert log.printed("stdout") == b"key=[redacted:known]\n"
    assert log.printed("stderr") == b"x"


async def test_a_secret_in_bytes_that_are_no_text_is_taken_out():
    log = Log()
    terminal = Terminal(log, "cmd_1", lambda: 0)
    await terminal.heard("stdout", b"\xff\xfe" + SECRET.encode() + b"\xff")
    terminal.end(0)
    log.flush()
    assert log.printed() == b"\xff\xfe[redacted:known]\xff"


async def test_what_is_said_of_a_command_holds_no_secret():
    log = Log()
    Terminal(log, "cmd_1", lambda: 0).begin(["login", SECRET], cwd="/workspace")
    log.flush()
    assert log.of("terminal.command_started")[0]["command"] == ["login", "[redacted:known]"]


async def test_beyond_its_limit_nothing_of_a_command_is_kept_and_a_gap_says_so():
    log = Log(command_bytes=10)
    terminal, other = Terminal(log, "cmd_1", lambda: 0), Terminal(log, "cmd_2", lambda: 0)
    for _ in range(3):
        await terminal.heard("stdout", b"1234567")
    await other.heard("stdout", b"mine")
    terminal.end(0)
    other.end(1)
    log.flush()
    assert (log.printed(command="cmd_1"), log.printed(command="cmd_2")) == (b"1234567123", b"mine")
    assert log.of("terminal.gap") == [{"command_id": "cmd_1", "reason": "command_limit", "most": 10}]
    first, second = log.of("terminal.command_ended")
    assert (first["output_bytes"], first["dropped_bytes"]) == (10, 11)
    assert (second["output_bytes"], second.get("dropped_bytes", 0)) == (4, 0)


async def test_all_commands_of_an_attempt_together_have_a_limit():
    log = Log(attempt_bytes=10)
    for number in (1, 2):
        terminal = Terminal(log, f"cmd_{number}", lambda: 0)
        await terminal.heard("stdout", b"1234567")
        terminal.end(0)
    log.flush()
    assert log.printed() == b"1234567123"
    assert log.of("terminal.gap") == [{"command_id": "cmd_2", "reason": "attempt_limit", "most": 10}]


async def test_a_limit_that_cuts_a_secret_shows_nothing_of_it():
    log = Log(command_bytes=len(SECRET))
    terminal = Terminal(log, "cmd_1", lambda: 0)
    await terminal.heard("stdout", b"ab" + SECRET.encode())
    terminal.end(0)
    log.flush()
    assert log.printed() == b"ab[redacted:known]"


async def test_what_a_command_held_back_is_written_when_its_attempt_ends_without_it():
    log = Log()
    await Terminal(log, "cmd_1", lambda: 0).heard("stdout", b"password: hunt")
    log.flush()
    log.close()
    assert log.printed() == b"password: hunt"


def test_long_outputs_are_cut_between_characters():
    data = ("é" * CHUNK_BYTES).encode()[1:] + b"x"
    parts = list(chunks(data))
    assert b"".join(parts) == data
    assert max(map(len, parts)) <= CHUNK_BYTES
    for part in parts[1:]:
        part.decode()


@pytest.mark.parametrize(
    ("type_", "data"),
    [
        ("terminal.output", {"stream": 1}),
        ("terminal.output", {"chunk": "no base64!", "encoding": "base64"}),
        ("terminal.output", {"command_id": "a\0b"}),
        ("terminal.command_ended", {}),
    ],
)
def test_what_has_another_shape_is_refused(type_: str, data: dict[str, Any]):
    with pytest.raises(InvalidRequest):
        Log().tape.tell(type_, data, {}, Redactor())
