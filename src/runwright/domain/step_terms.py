"""On which terms the model behind an agent step works: those of the run. No person is asked from within it."""

from __future__ import annotations

from msgspec.structs import replace

from runwright.domain.agent_terms import AgentTerms, Budget
from runwright.domain.redaction import RedactedText
from runwright.domain.runtime_terms import AgentStep, RuntimeTerms
from runwright.domain.tools import RISKS, Catalogue, ToolRules

WORDS_MAX = 4_000
"""So much of a model's last word is shown with the step; the whole stands in the log, as its message."""


def speaking(terms: RuntimeTerms, step: AgentStep) -> AgentTerms:
    """Return the terms of the conversation of a step: the limits are those of the run, but for its turns."""
    agent, limits = terms.agent, terms.budget
    assert agent is not None
    budget = Budget(
        cost_microusd=limits.cost_microusd,
        tokens=limits.tokens,
        tool_calls=limits.tool_calls,
        wall_s=limits.wall_s,
        turns=min(step.max_turns, agent.budget.turns or step.max_turns),
    )
    return replace(agent, budget=budget, risk_threshold=None, answer_within_s=None)


def rules_of(terms: RuntimeTerms, catalogue: Catalogue) -> ToolRules:
    """Return what the tools may do in a run: nothing that writes where it may not, nothing that a person would have to
    confirm.
    """  # fmt: skip
    agent = terms.agent
    assert agent is not None
    denied = [] if terms.writable else ["files:write", "files:edit"]
    if agent.risk_threshold is not None:
        least = RISKS.index(agent.risk_threshold)
        denied += [
            f"{spec.name}:{name}" if name else spec.name
            for spec in catalogue.specs.values()
            for name, action in spec.actions.items()
            if RISKS.index(action.risk) >= least
        ]
    return ToolRules(allow=agent.tools, deny=tuple(denied))


def told_first(terms: RuntimeTerms, prompt: str) -> str:
    """Return the system text of a step: the persona's prompt, and where the model finds itself."""
    may = "You may change it." if terms.writable else "It is there to be read: writing to it fails."
    told = [prompt] if prompt else []
    told.append(f"You work over the directory /workspace. {may} There is no network, and nobody to ask.")
    told += [f"What the run is about: {terms.objective}"] if terms.objective else []
    return "\n\n".join(told)


def shown(output: RedactedText | None) -> RedactedText | None:
    """Return what is shown of a model's last word; None where it said nothing."""
    return RedactedText(output[:WORDS_MAX]) if output else None
