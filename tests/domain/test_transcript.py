"""What a run leaves in its thread is what the next one reads, whatever a model wrote."""

from runwright.domain import model_call as m
from runwright.domain import thread as th
from runwright.domain.transcript import left_by, read

TURN = (
    m.Message(
        "assistant", (m.Text("I look."), m.ToolCall("c1", "http", '{"url":"x"}'), m.ToolCall("c2", "files", "{}"))
    ),
    m.Message("tool", (m.ToolResult("c1", "found"), m.ToolResult("c2", "files.refused: no", failed=True))),
    m.Message("assistant", (m.Text("There it is."),)),
)


def test_what_is_left_is_read_again_as_it_was():
    assert tuple(read(left.role, left.parts, {}, str) for left in left_by(TURN)) == TURN


def test_only_the_last_words_are_for_all():
    assert [(left.role, left.hidden) for left in left_by(TURN)] == [
        ("assistant", True),
        ("tool", True),
        ("assistant", False),
    ]


def test_arguments_that_are_no_object_are_left_as_none():
    (left,) = left_by([m.Message("assistant", (m.ToolCall("c1", "http", "[not json"),))])
    assert left.parts == (th.ToolCallPart(tool_call_id="c1", tool_name="http", arguments={}),)


def test_an_answer_that_says_nothing_leaves_nothing_and_a_partial_one_is_left():
    assert left_by([m.Message("assistant", (m.Text(""),))]) == []
    assert [left.parts for left in left_by([], "Once ")] == [(th.TextPart("Once "),)]


def test_a_long_text_is_left_in_pieces_that_a_message_takes():
    (left,) = left_by([m.Message("assistant", (m.Text("x" * (th.TEXT_MAX + 1)),))])
    assert [len(part.text) for part in left.parts if isinstance(part, th.TextPart)] == [th.TEXT_MAX, 1]


def test_pictures_are_told_with_their_bytes_files_by_name_and_words_cleaned():
    digest = "0" * 64
    parts = (
        th.TextPart("secret"),
        th.ImagePart(artifact=digest, media_type="image/png"),
        th.FilePart(artifact=digest, name="a.csv", media_type="text/csv"),
    )
    message = read("user", parts, {digest: b"png"}, lambda text: text.replace("secret", "[redacted]"))
    assert message == m.Message(
        "user", (m.Text("[redacted]"), m.Image("image/png", b"png"), m.Text("[the file a.csv, text/csv]"))
    )
