"""The executor of remediation loops: one remedy for each attempt."""

from __future__ import annotations

from collections.abc import Callable

from runwright.agents.agents import Agents
from runwright.agents.tools.workspace import Kept, RunWorkspace
from runwright.config import Settings
from runwright.domain import outcome as o
from runwright.domain.bound_terms import bound
from runwright.domain.lane import Lane
from runwright.domain.patch import PatchBounds
from runwright.domain.policy_file import PolicyFile
from runwright.domain.run import OMAR
from runwright.engine.attempt import Attempt
from runwright.engine.engine import Engine
from runwright.engine.reader import Beyond
from runwright.errors import Internal
from runwright.executors.agent_kit import LazyKit
from runwright.executors.omar.remedy import Means, Remedy
from runwright.executors.orchestrated.looking import Eyes
from runwright.executors.orchestrated.turns import Turns
from runwright.executors.repositories import repositories_of
from runwright.fixers.available import available
from runwright.fixers.port import Fixer
from runwright.sandbox.scanner import ScanBounds, Scanner
from runwright.sandbox.snapshot import Limits
from runwright.scanners.available import Base, Scanners
from runwright.store.queries.events import OF_TYPE, event_of

Choose = Callable[[PolicyFile, Base], tuple[Scanner, ...]]


class OmarExecutor:
    """Executes remediation loops with the sandbox, the scanners, the fixers and the models of this process. Attach it
    before the engine starts.
    """  # fmt: skip

    name = OMAR

    def __init__(self, kit: LazyKit, fixers: tuple[Fixer, ...] | None = None, scanners: Choose | None = None) -> None:
        self._kit = kit
        self._fixers = fixers
        self._scanners = scanners
        self._engine: Engine | None = None

    def attach(self, engine: Engine, agents: Agents) -> None:
        """Take the engine that claims for it, and the verbs of agents over it."""
        self._engine = engine
        self._agents = agents

    def serves(self, lane: Lane) -> bool:
        """Tell whether these are loops: any process can execute each of them."""
        return lane.executor == self.name

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Drive a loop to its end, or to where it waits."""
        engine, spec = self._engine, bound(attempt.run).spec
        if engine is None:
            raise Internal("the executor of loops is attached to no engine")
        if spec.runtime is None or spec.runtime.loop is None:
            raise Internal("a loop has no terms")
        kit, terms, settings = await self._kit.get(), spec.runtime, engine.settings
        tree = Limits(settings.runtime_workspace_max_files, settings.runtime_workspace_max_bytes)

        async def told(type_: str) -> bytes | None:
            among = {"run_id": spec.run_id, "type": type_, "limit": 1, **Beyond()._asdict()}
            rows = await engine.store.fetch(OF_TYPE[1], **among)
            return event_of(rows[0]).data if rows else None

        def workspace(last: Kept | None) -> RunWorkspace:
            return kit.toolbox.workspace(spec.run_id, last, tree=tree, scope=terms.policy.paths)

        means = Means(
            tools=kit.toolbox.bounds,
            patches=_patches(settings),
            redactor=lambda: engine.vault.redactors.of(spec.project_id),
            workspace=workspace,
            eyes=Eyes(
                repositories=repositories_of(engine, kit, spec.project_id),
                scanners=(),
                bounds=ScanBounds.of(settings),
                clock=engine.clock,
                told=told,
                attempts_max=settings.repository_attempts_max,
                retry_s=settings.repository_retry_s,
            ),
            scanners=self._scanners or _choosing(settings),
            fixers=available(ScanBounds.of(settings)) if self._fixers is None else self._fixers,
            turns=Turns(engine=engine, agents=self._agents, kit=kit, terms=terms, workspace=workspace),
        )
        return await Remedy(attempt, means).run()


def _patches(settings: Settings) -> PatchBounds:
    """Return how much a patch may be, whatever an order says."""
    return PatchBounds(
        bytes=settings.patch_max_bytes,
        files=settings.patch_max_files,
        hunks=settings.patch_max_hunks,
        file_bytes=settings.patch_file_max_bytes,
    )


def _choosing(settings: Settings) -> Choose:
    """Return what chooses scanners: a policy, or what the server does by default where a tree has none."""
    scanners = Scanners.of(settings)
    return lambda policy, base: scanners.of_policy(policy, base) if policy.name else scanners.chosen()
