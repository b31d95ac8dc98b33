"""Runs of agents are measured and traced by the conventions for generative AI, and none of their words is told."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, get_args

import pytest
from opentelemetry.trace import SpanKind, StatusCode

from runwright import telemetry
from runwright.agents.providers.scripted import Script, Turn
from runwright.agents.tools.port import Fault, Result, Scene
from runwright.clock import FrozenClock
from runwright.domain.model_call import StopReason, Usage
from runwright.domain.tools import Ready
from runwright.errors import ProviderUnavailable
from runwright.observability.agent_spans import FINISH
from tests.engine.acting import Acting, Doing, acting, calling, says
from tests.engine.databases import Database
from tests.engine.test_agent_loop import ended
from tests.engine.world import ADMIN
from tests.observability.scrape import scrape, watch
from tests.observability.test_tracing import Kept, kept, span_id, trace_id

__all__ = ["kept"]

STORY = Script(
    turns=(
        says("Let me look. ", calls=(calling("http", "c1", name="opensesame"), calling("shell", "c2", name="x"))),
        Turn(text=("The ", "end."), delay_s=2.0, usage=Usage(input_tokens=90, cached_tokens=60, output_tokens=7)),
    )
)
ASKS = Script(turns=(says(calls=(calling("ask_user", "q", question="Which?"),)), says("Good.")))
Opener = Callable[..., Awaitable[Acting]]


class Failing(Doing):
    """A tool that comes to nothing."""

    async def call(self, call: Ready, scene: Scene) -> Result:
        """Fail."""
        return Fault("tool.timeout", "opensesame took too long")


@pytest.fixture
async def opened(database: Database, tmp_path: Path) -> AsyncIterator[Opener]:
    """Return what opens a world that executes agent runs."""
    made: list[Acting] = []

    async def opening(*trouble: ProviderUnavailable) -> Acting:
        scripts, shell = {"story": STORY, "asks": ASKS}, Failing("shell", "unsafe")
        act = await acting(tmp_path / "data", FrozenClock(), database, scripts, None, shell, trouble)
        made.append(act)
        act.world.engine.start()
        return act

    yield opening
    for act in made:
        await act.world.crash()
        await act.close()


async def test_calls_of_models_and_tools_are_measured_by_the_conventions(opened: Opener):
    act = await opened()
    metrics = watch(act.world.engine)
    made = await act.start(await act.thread_for("story"), "Tell me a story")
    await ended(act, made.run_id)
    shown = await scrape(metrics)
    whose = {
        "gen_ai_operation_name": "chat",
        "gen_ai_provider_name": "scripted",
        "gen_ai_request_model": "story",
    }
    took = "gen_ai_client_operation_duration_seconds"
    assert shown.value(f"{took}_count", **whose, error_type="") == 2
    assert (shown.value(f"{took}_sum", **whose, error_type="") or 0) == pytest.approx(4, abs=0.2)
    first = "gen_ai_client_operation_time_to_first_chunk_seconds"
    assert (shown.value(f"{first}_sum", **whose) or 0) == pytest.approx(2, abs=0.2)
    tokens = shown.series("gen_ai_client_token_usage_bucket")
    assert tokens["chat", "scripted", "story", "input", "64.0"] == 1
    assert tokens["chat", "scripted", "story", "input", "256.0"] == 2
    assert tokens["chat", "scripted", "story", "output", "4.0"] == 1
    assert tokens["chat", "scripted", "story", "output", "16.0"] == 2
    assert shown.series("gen_ai_execute_tool_duration_seconds_count") == {("", "http"): 1, ("tool.timeout", "shell"): 1}
    metrics.close()


async def test_a_call_that_fails_is_measured_by_its_code(opened: Opener):
    act = await opened(ProviderUnavailable("It broke off over opensesame.", reason="cut"))
    metrics = watch(act.world.engine)
    made = await act.start(await act.thread_for("echo"), "Good morning")
    await ended(act, made.run_id)
    counted = (await scrape(metrics)).series("gen_ai_client_operation_duration_seconds_count")
    assert counted == {
        ("providers.unavailable", "chat", "scripted", "echo"): 1,
        ("", "chat", "scripted", "echo"): 1,
    }
    metrics.close()


async def test_used_up_budgets_are_counted_and_runs_that_wait_for_people_are_shown(opened: Opener):
    act = await opened()
    metrics = watch(act.world.engine)
    thread = await act.thread_for("asks", budget={"turns": 1})
    assert (await scrape(metrics)).value("runwright_inputs_waiting_runs") == 0
    made = await act.start(thread, "Choose")
    await ended(act, made.run_id, "waiting")
    assert (await scrape(metrics)).value("runwright_inputs_waiting_runs") == 1
    about: dict[str, Any] = {"mode": "answer", "request_id": None, "idempotency_key": None, "asked_by": None}
    await act.agents.inputs.say(act.world.reader(), ADMIN, made.run_id, "The red one", **about)
    await ended(act, made.run_id)
    shown = await scrape(metrics)
    assert shown.series("runwright_budget_exhaustions_total") == {("turns", "run"): 1}
    assert shown.value("runwright_inputs_waiting_runs") == 0
    metrics.close()


async def test_a_run_is_a_span_with_those_of_its_model_and_tools_in_it(kept: Kept, opened: Opener):
    act = await opened()
    thread = await act.thread_for("story")
    made = await act.start(thread, "Tell me opensesame")
    await ended(act, made.run_id)
    run, calls = kept.one("invoke_agent teller"), kept.named("chat story")
    http, shell = kept.one("execute_tool http"), kept.one("execute_tool shell")
    assert run.kind is SpanKind.INTERNAL
    assert run.attributes is not None
    said = {name: value for name, value in run.attributes.items() if name.startswith("gen_ai.")}
    assert said == {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "story",
        "gen_ai.agent.id": "teller@1",
        "gen_ai.agent.name": "teller",
        "gen_ai.agent.version": "1",
        "gen_ai.conversation.id": thread.thread_id,
    }
    assert {trace_id(span) for span in (*calls, http, shell)} == {trace_id(run)}
    assert {span.parent.span_id for span in (*calls, http, shell) if span.parent} == {span_id(run)}
    assert [span.kind for span in (*calls, http)] == [SpanKind.CLIENT, SpanKind.CLIENT, SpanKind.INTERNAL]
    assert dict(calls[1].attributes or {}) == {
        "gen_ai.operation.name": "chat",
        "gen_ai.provider.name": "scripted",
        "gen_ai.request.model": "story",
        "gen_ai.request.max_tokens": 1024,
        "gen_ai.request.stream": True,
        "gen_ai.conversation.id": thread.thread_id,
        "gen_ai.response.time_to_first_chunk": pytest.approx(2, abs=0.2),
        "gen_ai.response.finish_reasons": ("stop",),
        "gen_ai.usage.input_tokens": 90,
        "gen_ai.usage.output_tokens": 7,
        "gen_ai.usage.cache_read.input_tokens": 60,
        "gen_ai.usage.reasoning.output_tokens": 0,
    }
    assert dict(http.attributes or {}) == {
        "gen_ai.operation.name": "execute_tool",
        "gen_ai.tool.name": "http",
        "gen_ai.tool.call.id": "c1",
        "gen_ai.tool.type": "function",
    }
    assert (dict(shell.attributes or {})["error.type"], shell.status.status_code) == ("tool.timeout", StatusCode.ERROR)


async def test_no_word_of_a_conversation_is_in_a_span(kept: Kept, opened: Opener):
    act = await opened(*[ProviderUnavailable("It will not hear of opensesame.", reason="cut")] * 5)
    made = await act.start(await act.thread_for("story"), "Tell me opensesame")
    assert (await ended(act, made.run_id)).state == "failed"
    run, calls = kept.one("invoke_agent teller"), kept.named("chat story")
    assert {dict(span.attributes or {})["error.type"] for span in calls} == {"providers.unavailable"}
    assert dict(run.attributes or {})["error.type"] == "ProviderUnavailable"
    assert [span.name for span in kept.all() if "opensesame" in span.to_json()] == []


def test_the_conventions_have_a_word_for_every_reason_to_stop():
    assert set(FINISH) == set(get_args(StopReason))


async def test_nobody_listens_where_nothing_is_measured(opened: Opener):
    await opened()
    assert not {"model.began", "model.ended", "tool.began", "tool.ended"} & set(telemetry._sinks)
