"""Make remediation loops: from an order to the command that creates the run, with all ceilings looked at."""

from __future__ import annotations

from hashlib import sha256

import msgspec
from msgspec.structs import replace

from runwright.agents.agents import Agents
from runwright.domain.accounts import Project
from runwright.domain.agent_terms import Budget
from runwright.domain.commands import IdempotencyKey, Submit
from runwright.domain.delivery_wanted import LoopDelivery, require_opened, require_wanted
from runwright.domain.instants import SECOND_US
from runwright.domain.loop_terms import LLM, LoopApproval, LoopTerms
from runwright.domain.repository import read_repository, require_ref
from runwright.domain.run import LOOP, OMAR, RUNTIME, Run
from runwright.domain.runtime_terms import WRITES, Mode, RuntimeTerms
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine
from runwright.engine.requests import Submitted
from runwright.errors import BudgetRequired, Conflict, Denied, InvalidRequest, LoopActive, NotFound
from runwright.governance.deliveries import Deliveries
from runwright.governance.run_order import RunOrder, commanded, require_decidable, require_mode, require_policy
from runwright.governance.step_models import agent_of
from runwright.governance.submission import Origin
from runwright.store.queries.loops import KEY_OF, LIVE_LOOPS

TWINS_US = 60 * SECOND_US
"""For so long a new loop is known by its repository beside the list of live runs, which shows it by then."""
TWINS_MAX = 50
_canonical = msgspec.json.Encoder(order="deterministic").encode


class LoopOrder(RunOrder, frozen=True, kw_only=True):
    """What a caller asks of a loop: over a repository, or over that of a run that looked at it (`run_id`)."""

    mode: Mode = "autonomous_gated"
    run_id: str | None = None
    loop: LoopTerms = LoopTerms()


class Loops:
    """Makes remediation loops."""

    def __init__(self, engine: Engine, agents: Agents, deliveries: Deliveries) -> None:
        self._engine = engine
        self._agents = agents
        self._deliveries = deliveries

    async def create(
        self, actor: Actor, project: Project, order: LoopOrder, *, request_id: str | None, trace_id: str
    ) -> Submitted:
        """Make a loop, or find the one that the idempotency key made.

        Raises `InvalidRequest`, `BudgetRequired` for one without any ceiling, `Denied` for a mode that lets no run
        write or that this server makes no runs in, `NotFound`, `Conflict` (`loops.already_active`, `budget.unpriced`),
        and `IdempotencyMismatch`.
        """
        terms = self._checked(await self._based(actor, order))
        terms = await self._with_model(actor, project, terms, order)
        origin = Origin(actor=actor, project=project, request_id=request_id, trace_id=trace_id)
        submit = await commanded(self._engine, origin, order, terms, kind=LOOP, executor=OMAR)
        return await self._alone(submit, terms)

    async def _based(self, actor: Actor, order: LoopOrder) -> LoopOrder:
        """Return an order with the repository of the run that it names."""
        if order.run_id is None:
            if order.repo is None:
                raise InvalidRequest.at(
                    "repo", "name what is to be repaired: a repository, or by run_id a run that has one"
                )
            return order
        if order.repo is not None or order.ref is not None:
            raise InvalidRequest.at("run_id", "say either a run or a repository")
        run = (await self._engine.reader(actor).run(order.run_id)).run
        runtime = run.spec.runtime
        if run.spec.kind != RUNTIME or runtime is None:
            raise NotFound("run", order.run_id)
        if runtime.repo is None:
            raise InvalidRequest.at("run_id", "the run has no repository, so there is nothing to repair")
        head = None if run.course is None else run.course.head_sha
        return replace(order, repo=runtime.repo, ref=head or runtime.ref)

    def _checked(self, order: LoopOrder) -> RuntimeTerms:
        settings, loop = self._engine.settings, order.loop
        if order.mode not in WRITES:
            raise Denied(
                f"the mode {order.mode} lets no run write, and a loop does; use autonomous_gated or edit_gated",
                code="loops.mode_not_write_capable",
            )
        require_mode(order, settings)
        require_policy(order.policy)
        assert order.repo is not None
        read_repository(order.repo, settings.repository_roots, allow_private=settings.repository_private)
        if order.ref is not None:
            require_ref(order.ref)
        milder = [each for each in loop.targets.severities or () if each not in loop.severities]
        if milder:
            raise InvalidRequest.at(
                "targets.severities",
                f"{milder[0]} is milder than clean_through ({loop.clean_through}), and is not repaired",
            )
        if not loop.severities and not loop.required:
            raise InvalidRequest.at(
                "targets",
                "name severities that must be clean, or gates: there is nothing to repair",
                code="loops.no_targets",
            )
        if not _has_ceiling(loop, order.budget):
            raise BudgetRequired("a loop has a ceiling at least: max_iterations, max_no_progress, or one of its budget")
        for name in ("plan", "patch"):
            asked = getattr(loop.approvals, name)
            if asked is not None:
                require_decidable(asked.roles, f"approvals.{name}.roles")
        if order.mode == "edit_gated" and loop.approvals.patch is None:
            loop = replace(loop, approvals=replace(loop.approvals, patch=LoopApproval()))
        if loop.deliver is not None:
            loop = replace(loop, deliver=self._deliverable(order.repo, loop.deliver))
        return RuntimeTerms(
            mode=order.mode,
            runtime_profile="container_write",
            repo=order.repo,
            ref=order.ref,
            objective=order.objective,
            budget=order.budget,
            warn_at_pct=order.warn_at_pct,
            policy=order.policy,
            gate=order.gate,
            loop=loop,
        )

    def _deliverable(self, repo: str, deliver: LoopDelivery) -> LoopDelivery:
        """Return what is to become of a loop's tree, where somebody could do it."""
        wanted = require_wanted(deliver.wanted, "deliver.")
        require_opened([wanted], "deliver.pr")
        problem = self._deliveries.unreachable(repo, wanted)
        if problem is not None:
            raise InvalidRequest.at("deliver.actions", problem.message)
        return replace(deliver, wanted=wanted)

    async def _with_model(self, actor: Actor, project: Project, terms: RuntimeTerms, order: LoopOrder) -> RuntimeTerms:
        """Return the terms with the model that makes patches, where one was named."""
        assert terms.loop is not None
        asked = order.models.orchestrator
        if asked is None:
            return terms
        if LLM not in terms.loop.strategy.patchers:
            raise InvalidRequest.at(
                "models.orchestrator", "is asked by the patcher llm, which strategy.patchers leaves out"
            )
        return await agent_of(self._agents, actor, project, terms, order.models)

    async def _alone(self, submit: Submit, terms: RuntimeTerms) -> Submitted:
        """Create the run, unless another loop works at its repository. Two that come at once find each other by a key.

        Raises `Conflict`.
        """
        engine, key = self._engine, submit.idempotency
        if key is None or not await self._stands_for(key, _ttl_us(engine)):
            await self._require_alone(submit.spec.project_id, (terms.repo, terms.ref))
            twin = await self._free_key(submit.spec.project_id, (terms.repo, terms.ref))
            submit = replace(submit, dedup=twin, exclusive=True)
        made: Submitted = await engine.commit.apply(submit)
        return made

    async def _require_alone(self, project_id: str, place: tuple[str | None, str | None]) -> None:
        store = self._engine.store
        for row in await store.fetch(LIVE_LOOPS, project_id=project_id, kind=LOOP):
            record = await store.record(row[0])
            if record is not None and _works_at(record.run) == place:
                raise _active(row[0])

    async def _free_key(self, project_id: str, place: tuple[str | None, str | None]) -> IdempotencyKey:
        """Return the key under which loops meet that begin at once: behind those that ended just now."""
        digest = sha256(_canonical(place)).hexdigest()
        key = IdempotencyKey(f"{project_id}/loops.active", digest, digest, TWINS_US)
        for _ in range(TWINS_MAX):
            target = await self._stands_for(key, TWINS_US)
            if target is None:
                return key
            record = await self._engine.store.record(target)
            if record is not None and not record.run.terminal:
                raise _active(target)
            key = replace(key, key=sha256(f"{key.key}/{target}".encode()).hexdigest())
        raise Conflict("loops over this repository begin and end all the time; try again", code="loops.busy")

    async def _stands_for(self, key: IdempotencyKey, ttl_us: int) -> str | None:
        after = self._engine.clock.now() - ttl_us
        rows = await self._engine.store.fetch(KEY_OF, scope=key.scope, key=key.key, after=after)
        return rows[0][0] if rows else None


def _ttl_us(engine: Engine) -> int:
    return int(engine.settings.idempotency_ttl_h * 3_600 * SECOND_US)


def _active(loop_id: str) -> LoopActive:
    return LoopActive(data={"loop_id": loop_id})


def _works_at(run: Run) -> tuple[str | None, str | None] | None:
    runtime = run.spec.runtime
    return None if runtime is None or run.terminal else (runtime.repo, runtime.ref)


def _has_ceiling(loop: LoopTerms, budget: Budget) -> bool:
    limits = (budget.cost_microusd, budget.tokens, budget.tool_calls, budget.wall_s)
    return any(each is not None for each in (loop.max_iterations, loop.max_no_progress, *limits))
