"""The executor of runtime runs: one conductor for each attempt."""

from __future__ import annotations

from runwright.agents.agents import Agents
from runwright.agents.tools.workspace import Kept, RunWorkspace
from runwright.domain import outcome as o
from runwright.domain.lane import Lane
from runwright.domain.run import ORCHESTRATED
from runwright.engine.attempt import Attempt
from runwright.engine.engine import Engine
from runwright.engine.reader import Beyond
from runwright.errors import Internal
from runwright.executors.agent_kit import LazyKit
from runwright.executors.orchestrated.conductor import Conductor, Means
from runwright.executors.orchestrated.looking import Eyes
from runwright.executors.orchestrated.turns import Turns
from runwright.executors.repositories import repositories_of
from runwright.sandbox.scanner import ScanBounds
from runwright.sandbox.snapshot import Limits
from runwright.scanners.available import Scanners
from runwright.store.queries.events import OF_TYPE, event_of


class OrchestratedExecutor:
    """Executes runtime runs with the sandbox, the tools and the models of this process. Attach it before the engine
    starts.
    """  # fmt: skip

    name = ORCHESTRATED

    def __init__(self, kit: LazyKit) -> None:
        self._kit = kit
        self._engine: Engine | None = None

    def attach(self, engine: Engine, agents: Agents) -> None:
        """Take the engine that claims for it, and the verbs of agents over it."""
        self._engine = engine
        self._agents = agents

    def serves(self, lane: Lane) -> bool:
        """Tell whether these are runtime runs: any process can execute each of them."""
        return lane.executor == self.name

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Drive a run to its end, or to where it waits."""
        engine, spec = self._engine, attempt.run.spec
        if engine is None:
            raise Internal("the executor of runtime runs is attached to no engine")
        if spec.runtime is None:
            raise Internal("a runtime run has no terms")
        kit, terms, settings = await self._kit.get(), spec.runtime, engine.settings
        tree = Limits(settings.runtime_workspace_max_files, settings.runtime_workspace_max_bytes)

        async def told(type_: str) -> bytes | None:
            among = {"run_id": spec.run_id, "type": type_, "limit": 1, **Beyond()._asdict()}
            rows = await engine.store.fetch(OF_TYPE[1], **among)
            return event_of(rows[0]).data if rows else None

        def workspace(last: Kept | None) -> RunWorkspace:
            return kit.toolbox.workspace(
                spec.run_id, last, writable=terms.writable, tree=tree, scope=terms.policy.paths
            )

        means = Means(
            terms=terms,
            bounds=kit.toolbox.bounds,
            redactor=lambda: engine.vault.redactors.of(spec.project_id),
            workspace=workspace,
            turns=Turns(engine=engine, agents=self._agents, kit=kit, terms=terms, workspace=workspace),
            follow=lambda after: engine.hub.events(spec.run_id, after),
            eyes=Eyes(
                repositories=repositories_of(engine, kit, spec.project_id),
                scanners=Scanners.of(settings).chosen(),
                bounds=ScanBounds.of(settings),
                clock=engine.clock,
                told=told,
                attempts_max=settings.repository_attempts_max,
                retry_s=settings.repository_retry_s,
            ),
        )
        return await Conductor(attempt, means).run()
