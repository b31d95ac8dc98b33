"""What the API takes of a runtime run, by name."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict


class RuntimeBudget(TypedDict, total=False):
    """How much all steps together may use."""

    max_cost_usd: float
    max_tokens: int
    max_runtime_seconds: int
    max_tool_calls: int
    warn_at_pct: int


class RuntimeModels(TypedDict, total=False):
    """Which models the steps of the kind agent ask: the name of a route, or auto."""

    orchestrator: str


class RuntimePaths(TypedDict, total=False):
    """Which paths may be changed, as patterns: those allowed (none: all), never those denied."""

    allow: Sequence[str]
    deny: Sequence[str]


class RuntimePolicy(TypedDict, total=False):
    """What commands may be run (the names of programs), what may be changed, and the network, which is denied."""

    commands: Sequence[str]
    paths: RuntimePaths
    network: Literal["deny"]


class RuntimeOrder(TypedDict, total=False):
    """What is asked of a run.

    A step is an object with its `kind`: ingest, scan, command, gate, agent, approval, report.
    """

    mode: Literal["advice", "audit_readonly", "edit_gated", "autonomous_gated"]
    runtime_profile: Literal["container_readonly", "container_write"]
    repo: str
    ref: str
    objective: str
    steps: Sequence[Mapping[str, Any]]
    pipeline: str
    models: RuntimeModels
    budget: RuntimeBudget
    policy: RuntimePolicy
    gate: Mapping[str, str]
    labels: Mapping[str, str]
    project_id: str
    queue: str
    priority: int
