"""The executor of deliveries: one deliverer for each attempt."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from runwright.agents.notes import LAST, SNAPSHOT
from runwright.domain import outcome as o
from runwright.domain.lane import Lane
from runwright.domain.run import DELIVERY
from runwright.engine.attempt import Attempt
from runwright.engine.engine import Engine
from runwright.errors import Internal
from runwright.executors.agent_kit import LazyKit
from runwright.executors.delivery.building import Built, build
from runwright.executors.delivery.deliverer import Deliverer, Means
from runwright.executors.repositories import repositories_of, secrets_of
from runwright.forges.port import Forge, Refused
from runwright.forges.registered import Forges
from runwright.sandbox.snapshot import Limits


class DeliveryExecutor:
    """Executes deliveries with the sandbox of this process. Attach it before the engine starts."""

    name = DELIVERY

    def __init__(self, kit: LazyKit, forges: Forges) -> None:
        self._kit = kit
        self._forges = forges
        self._engine: Engine | None = None

    def attach(self, engine: Engine) -> None:
        """Take the engine that claims for it."""
        self._engine = engine

    def serves(self, lane: Lane) -> bool:
        """Tell whether these are deliveries: any process can execute each of them."""
        return lane.executor == self.name

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Drive a delivery to its end, or to where it waits for people."""
        engine, spec = self._engine, attempt.run.spec
        if engine is None:
            raise Internal("the executor of deliveries is attached to no engine")
        terms = spec.runtime
        if terms is None or terms.delivery is None:
            raise Internal("a delivery has no terms")
        delivery, settings, kit = terms.delivery, engine.settings, await self._kit.get()
        limits = Limits(settings.runtime_workspace_max_files, settings.runtime_workspace_max_bytes)

        async def archive() -> bytes:
            for value in await engine.store.values(delivery.run_id, SNAPSHOT):
                if value.key == LAST:
                    return await engine.values.unpack_bytes(spec.project_id, value)
            raise Refused("WORKSPACE_MISSING", "the snapshot of the run is gone")

        async def built(load: Callable[[], Awaitable[bytes]]) -> Built:
            repositories = repositories_of(engine, kit, spec.project_id, self._forges)
            return await build(terms, load, repositories, limits)

        async def forge() -> Forge:
            return await self._forges.open(terms.repo or "", secrets_of(engine, spec.project_id))

        means = Means(
            terms=terms,
            redactor=lambda: engine.vault.redactors.of(spec.project_id),
            build=built,
            archive=archive,
            forge=forge,
            ttl_s=settings.delivery_approval_s,
        )
        return await Deliverer(attempt, means).run()
