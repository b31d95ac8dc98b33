"""Spans of agents, by OpenTelemetry's conventions for generative AI: a run, the calls of its model, its tools.

Calls of models and tools happen within the span of their attempt. Spans name ids, models, tools and counts: no word of
a prompt, an answer, an argument or an output is ever part of one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextvars import ContextVar, Token
from typing import NamedTuple
from urllib.parse import urlsplit

from opentelemetry import context, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer
from opentelemetry.util.types import AttributeValue

from runwright.agents.tools.port import Fault
from runwright.agents.tools.runner import Made
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.model_call import Done, ModelCall
from runwright.domain.run import Run
from runwright.domain.tools import Ready

Attributes = Mapping[str, AttributeValue]
FINISH = {"stop": "stop", "tools": "tool_call", "length": "length", "filter": "content_filter"}
"""Why a model stopped, in the words of the conventions."""


class _Begun(NamedTuple):
    span: Span
    token: Token[Context]


_model: ContextVar[_Begun | None] = ContextVar("runwright_model_span", default=None)
_tool: ContextVar[_Begun | None] = ContextVar("runwright_tool_span", default=None)


def invoked(terms: AgentTerms) -> tuple[str, dict[str, AttributeValue]]:
    """Return the name of the span of an agent's attempt, and what it says beside what every attempt says."""
    key, _, version = terms.persona_id.partition("@")
    return f"invoke_agent {key}", {
        "gen_ai.operation.name": "invoke_agent",
        "gen_ai.provider.name": terms.provider,
        "gen_ai.request.model": terms.model,
        "gen_ai.agent.id": terms.persona_id,
        "gen_ai.agent.name": key,
        "gen_ai.agent.version": version,
        "gen_ai.conversation.id": terms.thread_id,
    }


class AgentSpans:
    """Makes spans of what the loops of agents do; `hearers` are by the names of what they hear."""

    def __init__(self, tracer: Tracer) -> None:
        self._tracer = tracer
        self.hearers: dict[str, Callable[..., None]] = {
            "model.began": self._asked,
            "model.ended": self._answered,
            "tool.began": self._called,
            "tool.ended": self._made,
        }

    def _asked(self, run: Run, call: ModelCall) -> None:
        said: dict[str, AttributeValue] = {
            "gen_ai.operation.name": "chat",
            "gen_ai.provider.name": call.provider,
            "gen_ai.request.model": call.model,
            "gen_ai.request.max_tokens": call.max_output_tokens,
            "gen_ai.request.stream": True,
        }
        if call.temperature is not None:
            said["gen_ai.request.temperature"] = call.temperature
        if run.spec.agent is not None:
            said["gen_ai.conversation.id"] = run.spec.agent.thread_id
        if call.base_url is not None:
            to = urlsplit(call.base_url)
            said["server.address"] = to.hostname or ""
            said["server.port"] = to.port or (443 if to.scheme == "https" else 80)
        self._begin(_model, f"chat {call.model}", SpanKind.CLIENT, said)

    def _answered(self, first_s: float | None, done: Done | None, error: str | None, **_: object) -> None:
        said: dict[str, AttributeValue] = {}
        if first_s is not None:
            said["gen_ai.response.time_to_first_chunk"] = first_s
        if done is not None:
            said["gen_ai.response.finish_reasons"] = (FINISH[done.stop_reason],)
            if done.usage is not None:
                said["gen_ai.usage.input_tokens"] = done.usage.input_tokens
                said["gen_ai.usage.output_tokens"] = done.usage.output_tokens
                said["gen_ai.usage.cache_read.input_tokens"] = done.usage.cached_tokens
                said["gen_ai.usage.reasoning.output_tokens"] = done.usage.reasoning_tokens
        self._end(_model, said, error)

    def _called(self, call: Ready) -> None:
        said = {
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.name": call.tool,
            "gen_ai.tool.call.id": call.tool_call_id,
            "gen_ai.tool.type": "function",
        }
        self._begin(_tool, f"execute_tool {call.tool}", SpanKind.INTERNAL, said)

    def _made(self, made: Made | None, **_: object) -> None:
        fault = made.result.code if made is not None and isinstance(made.result, Fault) else None
        self._end(_tool, {}, "cancelled" if made is None else fault)

    def _begin(self, place: ContextVar[_Begun | None], name: str, kind: SpanKind, said: Attributes) -> None:
        span = self._tracer.start_span(name, kind=kind, attributes=said)
        place.set(_Begun(span, context.attach(trace.set_span_in_context(span))))

    def _end(self, place: ContextVar[_Begun | None], said: Attributes, error: str | None) -> None:
        begun = place.get()
        if begun is None:
            return
        place.set(None)
        context.detach(begun.token)
        begun.span.set_attributes(said)
        if error is not None:
            begun.span.set_attribute("error.type", error)
            begun.span.set_status(Status(StatusCode.ERROR))
        begun.span.end()
