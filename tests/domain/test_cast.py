"""A recording has the format of asciicast 3, and says what was printed, however it was cut into chunks."""

import json

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from runwright.domain.cast import Cast
from runwright.domain.redaction import compose
from runwright.domain.terminal_events import OUTPUT, RESIZED, STARTED, TYPED
from tests.domain.specimens import SPECIMENS

EVENT = SPECIMENS["executing"]().events[0]


def lines(cast: Cast, chunks: list[str], stream: str, every_us: int = 1) -> list[list[object]]:
    """Return the lines of chunks that came one after the other."""
    events = [
        replace(EVENT, type=OUTPUT, created_at=(place + 1) * every_us, data=compose({"stream": stream, "chunk": chunk}))
        for place, chunk in enumerate(chunks)
    ]
    return [json.loads(cast.line(event)) for event in events]


@settings(deadline=None)
@given(st.lists(st.text(st.sampled_from("ab\r\n\x1bé🎉"), max_size=6), max_size=8))
def test_lines_of_a_pipe_return_the_carriage_however_they_are_cut(chunks: list[str]):
    told = "".join(str(text) for _, _, text in lines(Cast("run", 0), chunks, "stdout"))
    assert told == "".join(chunks).replace("\r\n", "\n").replace("\n", "\r\n")
    assert "".join(str(text) for _, _, text in lines(Cast("run", 0), chunks, "tty")) == "".join(chunks)


def test_times_are_seconds_since_the_line_before_and_never_go_back():
    cast = Cast("run_1", 2_000_000)
    head = json.loads(cast.head())
    assert head == {"version": 3, "term": {"cols": 80, "rows": 24}, "timestamp": 2, "title": "run_1"}
    assert [passed for passed, _, _ in lines(cast, ["a", "b", "c", "d"], "tty", 1_500_000)] == [0.0, 1.0, 1.5, 1.5]


def test_bytes_that_are_no_text_are_shown_as_what_stands_for_them():
    data = compose({"stream": "tty", "chunk": "/2E=", "encoding": "base64"})
    assert json.loads(Cast("run", 0).line(replace(EVENT, type=OUTPUT, data=data)))[2] == "\ufffda"


def test_sizes_and_what_was_typed_in_sight_are_lines_of_their_own_and_nothing_else_is():
    told = [
        (STARTED, {"command_id": "cmd_1", "tty": True, "cols": 80, "rows": 24}),
        (RESIZED, {"command_id": "cmd_1", "cols": 100, "rows": 30}),
        (TYPED, {"command_id": "cmd_1", "by": "user:1", "bytes": 3, "echoed": True, "chunk": "ls\n"}),
        (TYPED, {"command_id": "cmd_1", "by": "user:1", "bytes": 7}),
        (STARTED, {"command_id": "cmd_2", "tty": True}),
    ]
    cast = Cast("run", 0)
    found = [cast.line(replace(EVENT, created_at=0, type=type_, data=compose(data))) for type_, data in told]
    assert [json.loads(line)[1:] for line in found if line] == [["r", "100x30"], ["i", "ls\n"], ["r", "80x24"]]
