"""Make runtime runs: from an order to the command that creates the run, with everything pinned that it will need."""

from __future__ import annotations

import msgspec

from runwright.agents.agents import Agents
from runwright.domain.accounts import Project
from runwright.domain.approval import SUBJECT_MAX_BYTES
from runwright.domain.repository import read_repository, require_ref
from runwright.domain.run import ORCHESTRATED, RUNTIME
from runwright.domain.runtime_terms import (
    PIPELINES,
    WRITES,
    ApprovalStep,
    IngestStep,
    RuntimeProfile,
    RuntimeTerms,
    Step,
    pinned,
)
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine
from runwright.engine.requests import Submitted
from runwright.errors import InvalidRequest
from runwright.governance.run_order import RunOrder, commanded, require_decidable, require_mode, require_policy
from runwright.governance.step_models import with_model
from runwright.governance.submission import Origin

DEFAULT = "audit"
SHOWN_MAX_BYTES = SUBJECT_MAX_BYTES - 16_384
"""How large the steps behind an approval may be: people are shown all of them, with the repository and the tree."""
_canonical = msgspec.json.Encoder(order="deterministic").encode


class RuntimeOrder(RunOrder, frozen=True, kw_only=True):
    """What a caller asks of a runtime run; what is not said is the least: look at an empty workspace, and report."""

    runtime_profile: RuntimeProfile | None = None
    steps: tuple[Step, ...] | None = None
    pipeline: str | None = None


class RuntimeRuns:
    """Makes runtime runs."""

    def __init__(self, engine: Engine, agents: Agents) -> None:
        self._engine = engine
        self._agents = agents

    async def create(
        self, actor: Actor, project: Project, order: RuntimeOrder, *, request_id: str | None, trace_id: str
    ) -> Submitted:
        """Make a run, or find the one that the idempotency key made.

        Raises `InvalidRequest`, `Denied` (`runs.mode_not_allowed`) for a mode that this server makes no runs in,
        `IdempotencyMismatch`, and what `with_model` raises.
        """
        terms = await with_model(self._agents, actor, project, self._terms(order), order.models)
        origin = Origin(actor=actor, project=project, request_id=request_id, trace_id=trace_id)
        submit = await commanded(self._engine, origin, order, terms, kind=RUNTIME, executor=ORCHESTRATED)
        made: Submitted = await self._engine.commit.apply(submit)
        return made

    def _terms(self, order: RuntimeOrder) -> RuntimeTerms:
        require_mode(order, self._engine.settings)
        profile = order.runtime_profile or ("container_write" if order.mode in WRITES else "container_readonly")
        if profile == "container_write" and order.mode not in WRITES:
            raise InvalidRequest.at("runtime_profile", f"the mode {order.mode} lets no run write")
        if order.repo is not None:
            private = self._engine.settings.repository_private
            read_repository(order.repo, self._engine.settings.repository_roots, allow_private=private)
        if order.ref is not None:
            if order.repo is None:
                raise InvalidRequest.at("ref", "is that of a repository; name one as repo")
            require_ref(order.ref)
        require_policy(order.policy)
        return RuntimeTerms(
            mode=order.mode,
            runtime_profile=profile,
            repo=order.repo,
            ref=order.ref,
            objective=order.objective,
            steps=_steps(order),
            budget=order.budget,
            warn_at_pct=order.warn_at_pct,
            policy=order.policy,
            gate=order.gate,
        )


def _steps(order: RuntimeOrder) -> tuple[Step, ...]:
    if order.steps is not None and order.pipeline is not None:
        raise InvalidRequest.at("pipeline", "say either steps or a pipeline")
    if order.steps is None:
        named = PIPELINES.get(order.pipeline or DEFAULT)
        if named is None:
            raise InvalidRequest.at("pipeline", f"is none of {', '.join(PIPELINES)}")
        return named
    steps = order.steps
    for at, step in enumerate(steps):
        if isinstance(step, ApprovalStep):
            require_decidable(step.roles, f"steps[{at}].roles")
    if order.repo is not None and not any(isinstance(step, IngestStep) for step in steps):
        steps = (IngestStep(), *steps)  # what works in a repository needs it
    if [type(step) for step in steps].count(IngestStep) > 1:
        raise InvalidRequest.at(
            "steps", "a repository is checked out once; there is more than one step of the kind ingest"
        )
    try:
        steps = pinned(steps)
    except ValueError as twice:
        raise InvalidRequest.at("steps", str(twice)) from None
    for place, step in enumerate(steps, 1):
        if isinstance(step, ApprovalStep) and len(_canonical(steps[place:])) > SHOWN_MAX_BYTES:
            told = f"the steps behind the approval {step.title} are too large to be shown to people: "
            raise InvalidRequest.at("steps", f"{told}they may have {SHOWN_MAX_BYTES} bytes")
    return steps
