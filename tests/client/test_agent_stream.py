"""What happens in an agent run, as typed events: what the server may tell, over cuts, started once."""

from typing import Any

import msgspec
import pytest

from runwright.client import agent_events as a
from runwright.client.errors import ApiError, UnexpectedAnswer
from runwright.client.models import Event
from runwright.domain.agent_events import RECORDS
from runwright.domain.events import CATALOGUE
from tests.client.both import Connect
from tests.client.local_server import Answer, Request, json_answer, problem, serving
from tests.client.test_stream import AT_ONCE, after, frames, sse

SAID = {"role": "assistant", "channel": "final", "segment_id": "llm_1"}
LOG = [
    ("run.started", {"thread_id": "thr_1"}),
    ("message.delta", {**SAID, "content": "I ask"}),
    ("message.reset", {"segment_id": "llm_1", "reason": "failed"}),
    ("message.delta", {**SAID, "content": "I think", "channel": "thinking", "segment_id": "llm_2.thinking"}),
    ("message.completed", {**SAID, "content": "I look.", "segment_id": "llm_2"}),
    ("usage.recorded", {"llm_call_id": "llm_2", "provider": "p", "model": "m", "input_tokens": 3, "cached_tokens": 0,
                        "output_tokens": 2, "cost_microusd": None}),
    ("tool.call", {"tool_call_id": "c", "tool_name": "files", "arguments": {"path": "a"}, "risk": "low",
                   "args_sha256": "x"}),
    ("tool.result", {"tool_call_id": "c", "tool_name": "files", "result": "text", "duration_ms": 4,
                     "truncated": False}),
    ("tool.denied", {"tool_call_id": "d", "tool_name": "shell", "reason": "tool.denied", "comment": "no"}),
    ("run.waiting_for_input", {"request_id": "rq", "kind": "question", "prompt": "Which?", "schema": None,
                               "tool_call_id": None, "expires_at": "2026-01-01T00:00:00Z", "due_at": 1}),
    ("run.input_received", {"mode": "answer", "content": "red", "request_id": "rq"}),
    ("llm.retry", {"llm_call_id": "llm_3", "delay_ms": 1000, "code": "providers.unavailable", "message": "busy"}),
    ("budget.exhausted", {"scope": "run", "limit_name": "turns", "used": 2, "limit": 2}),
    ("of.tomorrow", {"new": 1}),
    ("run.completed", {"output": "Red.", "usage": {"input_tokens": 3, "cached_tokens": 1, "output_tokens": 2},
                       "total_cost_usd": 0.5, "credits_used": 500, "duration_ms": 7, "attempt": 1, "result": None}),
]  # fmt: skip
EVENTS: list[dict[str, Any]] = [
    {"seq": seq, "type": name, "data": data, "run_id": "run_1", "created_at": "2026-01-01T00:00:00Z"}
    for seq, (name, data) in enumerate(LOG, start=1)
]
STARTED = {"run_id": "run_1", "trace_id": "t", "thread_id": "thr_1", "status": "queued"}


def served(cut_at: int | None = None) -> Any:
    """Answer as a server with this log does; the first connection is cut after so many bytes."""
    connections: list[int] = []

    def respond(request: Request) -> Answer:
        if request.method == "POST":
            return json_answer(STARTED, 201)
        rest = [event for event in EVENTS if event["seq"] > after(request)]
        if not rest:
            return Answer(204)
        connections.append(1)
        body = frames(rest)
        return sse(body[:cut_at], cut=True) if cut_at is not None and len(connections) == 1 else sse(body)

    return respond


def of(type: str, data: Any) -> a.AgentEvent:
    return a.typed(Event.read(msgspec.json.encode({"seq": 1, "type": type, "data": data})))


async def test_every_kind_of_event_has_its_type(connect: Connect):
    async with serving(served()) as server, connect(server.url) as client:
        told = [event async for event in client.threads.follow("run_1", backoff=AT_ONCE)]
    assert [event.seq for event in told] == [*range(1, len(LOG) + 1)]
    assert [event.event.raw for event in told] == EVENTS
    assert [type(event) for event in told] == [
        a.AgentEvent, a.TextDelta, a.TextReset, a.TextDelta, a.TextCompleted, a.ModelUsed, a.ToolCalled, a.ToolReturned,
        a.ToolDenied, a.InputAsked, a.InputHeard, a.ModelRetried, a.BudgetReached, a.AgentEvent, a.RunEnded,
    ]  # fmt: skip
    asked, over, end = told[9], told[12], told[-1]
    assert isinstance(asked, a.InputAsked)
    assert asked.expires_at is not None
    assert isinstance(over, a.BudgetReached)
    assert over.exhausted
    assert isinstance(end, a.RunEnded)
    assert end.usage is not None
    assert (end.status, end.output, end.usage.cached_tokens, end.total_cost_usd) == ("completed", "Red.", 1, 0.5)


async def test_a_run_is_started_once_and_its_stream_survives_a_cut_at_any_place(connect: Connect):
    whole = len(frames(EVENTS))
    for cut_at in range(0, whole, 97):
        async with serving(served(cut_at)) as server, connect(server.url) as client:
            stream = client.threads.stream("thr_1", input="Which?", persona_id="painter", backoff=AT_ONCE)
            assert [event.seq async for event in stream] == [*range(1, len(LOG) + 1)], cut_at
        starts = [request for request in server.requests if request.method == "POST"]
        assert [request.json() for request in starts] == [{"input": "Which?", "persona_id": "painter"}]


async def test_a_stream_that_was_left_goes_on_where_it_was_with_the_same_run(connect: Connect):
    async with serving(served()) as server, connect(server.url) as client:
        stream = client.threads.stream("thr_1", idempotency_key="once", backoff=AT_ONCE)
        seen: list[int] = []
        async for event in stream:
            seen.append(event.seq)
            if len(seen) == 4:
                break
        seen += [event.seq async for event in stream]
        assert [event async for event in stream] == []
    assert seen == [*range(1, len(LOG) + 1)]
    starts = [request for request in server.requests if request.method == "POST"]
    assert [request.headers["idempotency-key"] for request in starts] == ["once"]


async def test_a_run_that_is_refused_is_an_error_at_once(connect: Connect):
    async with serving(lambda _: problem(409, "runs.thread_busy")) as server, connect(server.url) as client:
        with pytest.raises(ApiError, match=r"runs\.thread_busy"):
            _ = [event async for event in client.threads.stream("thr_1", backoff=AT_ONCE)]
        assert len(server.requests) == 1


def test_an_event_whose_data_are_gone_says_that_it_was():
    assert type(of("message.delta", None)) is a.AgentEvent
    end = of("run.cancelled", None)
    assert isinstance(end, a.RunEnded)
    assert (end.status, end.usage) == ("cancelled", None)


def test_an_event_of_another_shape_is_no_event_of_ours():
    with pytest.raises(UnexpectedAnswer, match=r"message\.delta"):
        of("message.delta", {"content": 5})


@pytest.mark.parametrize("kind", sorted(set(a.KINDS.values()), key=str))
def test_a_type_has_only_fields_that_the_server_tells(kind):
    told = [CATALOGUE[name] for name, each in a.KINDS.items() if each is kind]
    shapes = [shape for entry in told for shape in (entry.data, entry.of_agent) if shape is not None]
    fields = {field.encode_name for shape in shapes for field in msgspec.structs.fields(shape)}
    assert set(kind.__struct_fields__) - fields == set()


def test_whatever_an_agent_says_and_does_has_a_type():
    untold = {"llm.request", "llm.response"}  # the turns of the loop; what they say is told by the others
    assert RECORDS.keys() - a.KINDS.keys() == untold
