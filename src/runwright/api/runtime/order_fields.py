"""What every order on the runtime surface says, as governance takes it."""

from __future__ import annotations

from math import floor
from typing import Any

from runwright.api.runtime.order_schemas import RunOrderRequest, RuntimeBudget
from runwright.domain.agent_terms import Budget
from runwright.domain.money import MICRO


def order_fields(body: RunOrderRequest, key: str | None) -> dict[str, Any]:
    """Return the fields of a `RunOrder` that a request gives, whatever it asks for."""
    return {
        "repo": body.repo,
        "ref": body.ref,
        "objective": body.objective,
        "budget": _budget(body.budget),
        "warn_at_pct": body.budget.warn_at_pct,
        "policy": body.policy,
        "gate": body.gate,
        "labels": body.labels,
        "queue": body.queue,
        "priority": body.priority,
        "idempotency_key": key,
    }


def _budget(asked: RuntimeBudget) -> Budget:
    microusd = None if asked.max_cost_usd is None else max(floor(asked.max_cost_usd * MICRO), 1)
    return Budget(
        cost_microusd=microusd,
        tokens=asked.max_tokens,
        tool_calls=asked.max_tool_calls,
        wall_s=asked.max_runtime_seconds,
    )
