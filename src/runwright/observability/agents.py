"""What the metrics tell of agents: calls of models and tools, as OpenTelemetry's conventions name them, and budgets."""

from __future__ import annotations

import contextlib
from typing import Any

import msgspec

from runwright.agents.tools.port import Fault
from runwright.agents.tools.runner import Made
from runwright.domain.agent_events import BudgetReached
from runwright.domain.model_call import Done, ModelCall
from runwright.domain.tools import Ready
from runwright.observability import catalogue as m
from runwright.observability.tallies import Counter, Histogram

CHAT, EXHAUSTED = "chat", "budget.exhausted"


class AgentTallies:
    """Counts what agents use, how long it took them, and which budgets ended them; `shown` are its metrics."""

    def __init__(self) -> None:
        self._tokens = Histogram(m.TOKENS)
        self._seconds = Histogram(m.MODEL_SECONDS)
        self._first = Histogram(m.FIRST_CHUNK)
        self._tools = Histogram(m.TOOL_SECONDS)
        self._exhausted = Counter(m.BUDGETS_EXHAUSTED)
        self.shown = (self._tokens, self._seconds, self._first, self._tools, self._exhausted)

    def answered(
        self, call: ModelCall, seconds: float, first_s: float | None, done: Done | None, error: str | None
    ) -> None:
        """Count a call of a model. Tokens that the provider did not tell are not guessed here."""
        whose = (CHAT, call.provider, call.model)
        self._seconds.observe(seconds, (*whose, error or ""))
        if first_s is not None:
            self._first.observe(first_s, whose)
        if done is not None and done.usage is not None:
            self._tokens.observe(done.usage.input_tokens, (*whose, "input"))
            self._tokens.observe(done.usage.output_tokens, (*whose, "output"))

    def made(self, call: Ready, made: Made | None) -> None:
        """Count a call of a tool that came to an end by itself."""
        if made is not None:
            error = made.result.code if isinstance(made.result, Fault) else ""
            self._tools.observe(made.duration_ms / 1000, (call.tool, error))

    def exhausted(self, data: bytes | None) -> None:
        """Count a limit that has not enough left, from its event."""
        with contextlib.suppress(msgspec.MsgspecError):
            told: Any = msgspec.json.decode(data or b"", type=BudgetReached)
            self._exhausted.add((told.scope, told.limit_name))
