"""What an agent run was asked to be: whom it speaks as, to which model, with which tools, and how far it may go.

All of it is fixed when the run is created, and is part of its `Spec`: a persona that gets a new version, a route that
is changed and a price that moves change nothing of a run that exists. A secret is none of it; it is looked up at the
call.
"""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.domain.context_window import CONTEXT
from runwright.domain.price import Price

Tool = Literal["ask_user", "shell", "files", "http", "python"]
TOOLS: tuple[Tool, ...] = ("ask_user", "shell", "files", "http", "python")
"""The tools that there are; a persona allows some of them, a run some of those."""

Risk = Literal["low", "medium", "high"]
"""How much a call of a tool may do; one at or above a persona's threshold is confirmed by a person first."""

OnExceeded = Literal["fail", "ask"]

_Count = Annotated[int, Meta(ge=1, le=10**12)]


class Budget(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True, forbid_unknown_fields=True):
    """How much a run may use, at most; what is not named is not limited. `on_exceeded` says what happens then."""

    cost_microusd: _Count | None = None
    tokens: _Count | None = None
    turns: _Count | None = None
    tool_calls: _Count | None = None
    wall_s: _Count | None = None
    on_exceeded: OnExceeded | None = None

    def within(self, other: Budget) -> Budget:
        """Return the budget that keeps both: of each limit the smaller, and its own word of what happens then."""
        limits = {
            name: min((each for each in (getattr(self, name), getattr(other, name)) if each is not None), default=None)
            for name in LIMITS
        }
        return Budget(**limits, on_exceeded=self.on_exceeded or other.on_exceeded)


LIMITS = ("cost_microusd", "tokens", "turns", "tool_calls", "wall_s")


class AgentTerms(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The terms of an agent run. `persona_id` is `key@version`; a `price` of None is unknown, never zero.

    Its prompt is the version's, which never changes: nothing of it stands here, for the log shows these terms.
    `credential_id` names the provider whose secret the calls are made with, None where a provider needs none.
    """

    thread_id: str
    persona_id: str
    route_id: str
    provider: str
    model: str
    credential_id: str | None = None
    price: Price | None = None
    max_output_tokens: int = 1024
    context_window: int = CONTEXT
    temperature: float | None = None
    tools: tuple[Tool, ...] = ()
    risk_threshold: Risk | None = None
    answer_within_s: int | None = None
    budget: Budget = Budget()
    retry_of: str | None = None
