"""`runwright chat`: what it says to the server, what it shows, and what it asks the person at the keyboard."""

import io
import sys
from collections.abc import Callable, Iterator
from typing import Any

import msgspec
import pytest

from tests.cli.conftest import Call, Script
from tests.cli.test_commands import Typist, sse
from tests.client.local_server import Answer, Request, json_answer, problem

RUN = {
    "id": "run_1", "thread_id": "thr_1", "status": "completed", "state": "completed", "model": "m",
    "total_input_tokens": 12, "total_output_tokens": 5, "total_cost_usd": 0.00123, "cache_hit_rate": 0.25,
    "duration_ms": 1500,
}  # fmt: skip
SAID = {"role": "assistant", "channel": "final", "segment_id": "s"}
ASKED = {"request_id": "rq", "kind": "question", "prompt": "Which colour?", "schema": None}


def events(*told: tuple[str, dict[str, Any]], first: int = 1) -> list[dict[str, Any]]:
    return [{"seq": seq, "type": name, "data": data} for seq, (name, data) in enumerate(told, start=first)]


def answer(*pieces: str) -> list[tuple[str, dict[str, Any]]]:
    deltas = [("message.delta", {**SAID, "content": piece}) for piece in pieces]
    return [*deltas, ("message.completed", {**SAID, "content": "".join(pieces)})]


Told = list[tuple[str, dict[str, Any]]]
END: tuple[str, dict[str, Any]] = ("run.completed", {"output": "Hi."})
Talk = Callable[..., None]


@pytest.fixture
def talk(script: Script) -> Talk:
    """Let runs of a new thread tell these events, and end as this says."""

    def talk(*logs: Told, **run: Any) -> None:
        streams = iter([sse(events(*log)) for log in logs])
        script.on("POST", "/v1/threads", json_answer({"id": "thr_1"}, 201))
        script.on("POST", "/v1/threads/thr_1/runs", json_answer({"run_id": "run_1"}, 201))
        script.on("GET", "/v1/runs/run_1/stream", lambda _: next(streams))
        script.on("GET", "/v1/runs/run_1", json_answer({**RUN, **run}))

    return talk


@pytest.fixture
def typed(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Let a person type these lines, and then Ctrl-D."""

    def typed(*lines: str) -> None:
        monkeypatch.setattr(sys, "stdin", Typist("".join(f"{line}\n" for line in lines)))

    return typed


def bodies(script: Script, path: str) -> list[Any]:
    return [request.json() for request in script.requests if (request.method, request.path) == ("POST", path)]


def test_a_message_is_said_and_the_answer_alone_is_the_output(call_server: Call, script: Script, talk: Talk):
    talk([*answer("Hel", "lo."), END])
    ended = call_server(
        "chat", "Good\nday", "--persona", "guide", "--route", "fast", "--model", "m", "--tool", "http",
        "--budget", '{"turns": 2}',
    )  # fmt: skip
    assert (ended.code, ended.out) == (0, "Hello.\n")
    assert "12 tokens in (25% cached), 5 out, $0.00123, 1.5 s" in ended.err
    assert "runwright chat --thread thr_1" in ended.err
    assert bodies(script, "/v1/threads") == [{"title": "Good day", "persona_id": "guide", "route_id": "fast"}]
    (run,) = bodies(script, "/v1/threads/thr_1/runs")
    assert run == {
        "input": "Good\nday", "on_busy": "reject", "model": "m", "tools": ["http"], "budget": {"turns": 2},
    }  # fmt: skip


def test_what_is_piped_in_is_the_message(call_server: Call, script: Script, talk: Talk, monkeypatch):
    talk([*answer("Fine."), END], [*answer("Fine."), END])
    monkeypatch.setattr(sys, "stdin", io.StringIO("a diff\n"))
    assert call_server("chat", "--thread", "thr_1", "--persona", "reviewer").out == "Fine.\n"
    (run,) = bodies(script, "/v1/threads/thr_1/runs")
    assert run == {"input": "a diff\n", "on_busy": "reject", "persona_id": "reviewer"}
    assert bodies(script, "/v1/threads") == []
    monkeypatch.setattr(sys, "stdin", io.StringIO(" \n"))
    assert call_server("chat").code == 2


def test_a_program_is_told_the_events(call_server: Call, talk: Talk):
    log: Told = [("run.waiting_for_input", ASKED), ("run.input_received", {"content": "red"}), *answer("Hi."), END]
    talk(log)
    ended = call_server("chat", "Hello", "--json")
    assert ended.code == 0
    assert ended.lines() == events(*log)
    assert ended.err == ""


@pytest.mark.parametrize(
    ("run", "end", "code", "told"),
    [
        ({"state": "failed", "error": "no key", "error_class": "ProviderRejected"}, "run.failed", 1, "no key"),
        (
            {"state": "failed", "error": "no key", "error_class": "ProviderRejected"},
            ("run.failed", {"code": "providers.rejected", "details": {"reason": "credentials"}}),
            1,
            "no key [providers.rejected: credentials]",
        ),
        ({"state": "cancelled"}, "run.cancelled", 3, "cancelled"),
        ({"state": "completed", "total_cost_usd": None}, "run.completed", 0, "cost not known"),
        ({"state": "completed", "total_cost_usd": 0.0}, "run.completed", 0, "out, $0,"),
    ],
)
def test_it_exits_as_the_run_ended_and_says_what_it_cost(call_server: Call, talk: Talk, run, end, code, told):
    last = end if isinstance(end, tuple) else (end, {})
    talk([*answer("Hi.")[:1], last], **run)
    ended = call_server("chat", "Hello")
    assert (ended.code, ended.out) == (code, "Hi.\n"), "what was said of an answer that nobody finished is kept"
    assert told in ended.err


def test_what_does_not_count_is_not_in_the_output(call_server: Call, talk: Talk):
    again = {**SAID, "segment_id": "t"}
    talk([
        ("message.delta", {**SAID, "content": "Wro"}),
        ("message.reset", {"segment_id": "s", "reason": "failed"}),
        ("message.delta", {**again, "channel": "thinking", "content": "hm"}),
        ("message.delta", {**again, "content": "Right."}),
        ("message.completed", {**again, "content": "Right."}),
        END,
    ])  # fmt: skip
    ended = call_server("chat", "Hello")
    assert ended.out == "Right.\n"
    assert "does not count" in ended.err


def test_on_a_terminal_pieces_come_as_they_are_written(call_server: Call, talk: Talk, monkeypatch):
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    talk([*answer("Hel", "lo.\x1b[2J")[:2], ("message.reset", {"segment_id": "s", "reason": "x"}), *answer("Hi."), END])
    ended = call_server("chat", "Hello")
    assert ended.out == "Hello. [2J\nHi.\n"


def test_calls_of_tools_are_shown(call_server: Call, talk: Talk):
    called = {"tool_call_id": "c", "tool_name": "files"}
    talk([
        ("tool.call", {**called, "arguments": {"path": "a" * 500}}),
        ("tool.result", {**called, "result": {"text": "x\ny"}, "duration_ms": 5, "truncated": True}),
        ("tool.result", {**called, "error": {"code": "files.not_found", "message": "there is no a"}}),
        ("tool.denied", {**called, "reason": "tool.not_allowed"}),
        ("llm.retry", {"llm_call_id": "l", "delay_ms": 2000, "message": "too many"}),
        ("budget.warning", {"limit_name": "turns", "used": 4, "limit": 5}),
        ("run.input_received", {"mode": "steer", "content": "hurry"}),
        *answer("Hi."),
        END,
    ])  # fmt: skip
    ended = call_server("chat", "Hello")
    assert ended.out == "Hi.\n"
    for told in (
        "files {", "…", "(5 ms, shortened)", "failed: there is no a [files.not_found]",
        "was not called: tool.not_allowed", "(too many); again in 2.0 s",
        "limit turns is nearly used up: 4 of 5", "somebody said: hurry",
    ):  # fmt: skip
        assert told in ended.err, told


def test_a_question_is_answered_in_place(call_server: Call, script: Script, talk: Talk, typed):
    talk([("run.waiting_for_input", ASKED), *answer("Red it is."), END])
    typed("", "red")
    script.on("POST", "/v1/runs/run_1/input", json_answer({"ok": True}))
    ended = call_server("chat", "Choose")
    assert ended.code == 0
    assert "Which colour?" in ended.out
    assert bodies(script, "/v1/runs/run_1/input") == [{"content": "red", "mode": "answer", "request_id": "rq"}]


@pytest.mark.parametrize(
    ("said", "content"),
    [
        ("y", "approve"), ("YES", "approve"), ("", "deny"), ("n", "deny"),
        ('{"decision": "approve", "arguments": {}}', '{"decision": "approve", "arguments": {}}'),
    ],
)  # fmt: skip
def test_a_confirmation_is_a_word_or_a_decision(call_server: Call, script: Script, talk: Talk, typed, said, content):
    talk([("run.waiting_for_input", {**ASKED, "kind": "confirmation", "prompt": "Go on?"}), *answer("Done."), END])
    typed(said)
    script.on("POST", "/v1/runs/run_1/input", json_answer({"ok": True}))
    assert call_server("chat", "Do it").code == 0
    assert bodies(script, "/v1/runs/run_1/input")[0]["content"] == content


def test_a_form_is_asked_field_by_field_until_it_is_taken(call_server: Call, script: Script, talk: Talk, typed):
    schema = {
        "type": "object",
        "properties": {
            "colour": {"type": "string", "enum": ["red", "blue"], "description": "of the wall"},
            "litres": {"type": "integer"},
            "now": {"type": "boolean"},
            "note": {"type": "string"},
        },
        "required": ["colour", "litres"],
    }
    talk([("run.waiting_for_input", {**ASKED, "schema": schema}), *answer("Good."), END])
    typed("green", "5", "yes", "", "red", "5", "true", "12")
    answers = iter([problem(422, "request.invalid", "colour: must be red or blue"), json_answer({"ok": True})])
    script.on("POST", "/v1/runs/run_1/input", lambda _: next(answers))
    ended = call_server("chat", "Paint")
    assert ended.code == 0
    assert "must be red or blue" in ended.err
    sent = [msgspec.json.decode(body["content"]) for body in bodies(script, "/v1/runs/run_1/input")]
    assert sent == [
        {"colour": "green", "litres": 5, "now": True},
        {"colour": "red", "litres": 5, "now": True, "note": "12"},
    ]


def test_what_was_answered_elsewhere_is_not_asked_again(call_server: Call, script: Script, talk: Talk, typed):
    talk([("run.waiting_for_input", ASKED), ("run.input_received", {"content": "blue"}), *answer("Blue."), END])
    typed("red")
    script.on("POST", "/v1/runs/run_1/input", problem(409, "runs.not_waiting"))
    ended = call_server("chat", "Choose")
    assert ended.code == 0
    assert "does not wait for this any more" in ended.err


@pytest.mark.parametrize("keyboard", ["none", "left"])
def test_a_question_that_nobody_answers_says_how_it_is_answered(call_server: Call, talk: Talk, typed, keyboard):
    talk([("run.waiting_for_input", ASKED), *answer("Red."), END])
    if keyboard == "left":
        typed()
    ended = call_server("chat", "Choose")
    assert ended.code == 1
    assert "runwright inputs send run_1 ANSWER" in ended.err


def test_a_conversation_goes_on_until_the_person_leaves(call_server: Call, script: Script, talk: Talk, typed):
    talk([*answer("One."), END], [*answer("Two."), END])
    typed("first", "", "second")
    ended = call_server("chat", "--route", "fast")
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if line] == ["One.", "Two."]
    assert len(bodies(script, "/v1/threads")) == 1
    assert [body["input"] for body in bodies(script, "/v1/threads/thr_1/runs")] == ["first", "second"]


def test_one_who_leaves_at_once_leaves_no_thread(call_server: Call, script: Script, talk: Talk, typed):
    talk()
    typed()
    assert call_server("chat").code == 0
    assert script.requests == []


def test_a_refusal_does_not_end_the_conversation(call_server: Call, script: Script, talk: Talk, typed):
    talk([*answer("Two."), END])
    answers = iter([problem(409, "runs.thread_busy", "busy"), json_answer({"run_id": "run_1"}, 201)])
    script.on("POST", "/v1/threads/thr_1/runs", lambda _: next(answers))
    typed("first", "second")
    ended = call_server("chat")
    assert ended.code == 0
    assert "--on-busy enqueue" in ended.err
    assert "Two." in ended.out


def test_a_thread_that_is_taken_up_shows_what_was_said_and_what_goes_on(
    call_server: Call, script: Script, talk: Talk, typed
):
    talk([*answer("I go on."), END])
    said = [{"id": "m", "role": "assistant", "content": "Hi."}, {"id": "l", "role": "user", "content": "Hello"}]
    script.on("GET", "/v1/threads/thr_1", json_answer({"id": "thr_1", "title": "Greetings"}))
    script.on("GET", "/v1/threads/thr_1/messages", json_answer(said))
    script.on("GET", "/v1/threads/thr_1/runs", json_answer([{"run_id": "run_1", "status": "running"}]))
    typed()
    ended = call_server("chat", "--thread", "thr_1")
    assert ended.code == 0
    assert [line for line in ended.out.splitlines() if line] == ["> Hello", "Hi.", "I go on."]
    assert "Greetings" in ended.err
    assert "run_1 goes on" in ended.err
    (listed,) = [request for request in script.requests if request.path.endswith("/messages")]
    assert dict(listed.query)["order"] == "desc"


def test_a_project_is_that_of_a_new_thread(call_server: Call, script: Script):
    assert call_server("chat", "Hi", "--thread", "thr_1", "--project", "blue").code == 2
    assert script.requests == []


def test_a_connection_that_is_cut_comes_back_without_a_gap_or_a_repeat(call_server: Call, script: Script, talk: Talk):
    log = events(*answer("One ", "two ", "three."), END)

    def answers() -> Iterator[Answer]:
        yield sse(log[:2], cut=True)
        yield problem(503, "server.overloaded", retry_after="0")
        yield sse(log[2:])

    streams = answers()
    talk()
    script.on("GET", "/v1/runs/run_1/stream", lambda _: next(streams))
    assert call_server("chat", "Count").out == "One two three.\n"


def test_models_are_shown_with_their_prices_and_what_they_lack(call_server: Call, script: Script):
    rows = [
        {"id": "route_1", "route": "local", "kind": "local", "model": "smollm2", "context_window": 4096, "ready": False,
         "max_output_tokens": 512, "price": {"input": 0, "cached": 0, "output": 0}, "problem": "pip install it"},
        {"id": "route_2", "route": "fast", "kind": "openai", "model": "gpt", "context_window": 9, "ready": True,
         "max_output_tokens": 4, "price": {"input": 400_000, "cached": 100_000, "output": 1_600_000}},
        {"id": "route_3", "route": "own", "kind": "openai-compatible", "model": "x", "price": None, "ready": True},
    ]  # fmt: skip
    script.on("GET", "/v1/models", json_answer(rows))
    ended = call_server("models", "--project", "blue")
    lines = [line.split() for line in ended.out.splitlines()]
    assert lines[1:] == [
        ["local", "local", "smollm2", "4096", "512", "0", "0", "0", "no"],
        ["fast", "openai", "gpt", "9", "4", "0.4", "0.1", "1.6", "yes"],
        ["own", "openai-compatible", "x", "0", "0", "not", "known", "-", "-", "yes"],
    ]
    assert "local: pip install it" in ended.err
    assert script.requests[0].query == [("project_id", "blue"), ("limit", "50")]
    assert call_server("models", "--json").json() == rows


@pytest.mark.parametrize(
    ("tokens", "method", "path", "body"),
    [
        ("personas create mute --no-tools", "POST", "/v1/personas", {"key": "mute", "tools": []}),
        ("threads run thr_1 --no-tools", "POST", "/v1/threads/thr_1/runs", {"on_busy": "reject", "tools": []}),
        ("threads update thr_1 --clear persona", "PATCH", "/v1/threads/thr_1", {"persona_id": None}),
        ("routes update own --clear price --model m", "PATCH", "/v1/routes/own", {"price": None, "model": "m"}),
    ],
)
def test_nothing_can_be_said_too(call_server: Call, script: Script, tokens, method, path, body):
    script.on(method, path, json_answer({"id": "x", "run_id": "x"}))
    assert call_server(*tokens.split()).code == 0
    assert [request.json() for request in script.requests] == [body]
    assert call_server("chat", "Hi", "--no-tools", "--tool", "http").code == 2


@pytest.mark.parametrize("code", ["threads.not_found", "personas.not_found", "routes.not_found"])
def test_what_is_not_there_is_looked_for_where_it_is_listed(call_server: Call, script: Script, code: str):
    def refuse(_: Request) -> Answer:
        return problem(404, code, "There is none.")

    script.on("POST", "/v1/threads/thr_1/runs", refuse)
    ended = call_server("chat", "Hello", "--thread", "thr_1")
    assert ended.code == 1
    assert f"runwright {code.partition('.')[0]} list" in ended.err
