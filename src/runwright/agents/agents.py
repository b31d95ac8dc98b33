"""Everything of agents in one place: threads, personas, routes, providers, runs, and what people say to them."""

from __future__ import annotations

from runwright.agents.budgets import Budgets
from runwright.agents.catalog import Catalogs
from runwright.agents.credentials import Credentials
from runwright.agents.inputs import Inputs
from runwright.agents.kept import KeptValues
from runwright.agents.models import Models
from runwright.agents.orders import Terms
from runwright.agents.personas import Personas
from runwright.agents.routes import Routes
from runwright.agents.runs import AgentRuns
from runwright.agents.threads import Threads
from runwright.agents.tools.bounds import ToolBounds
from runwright.agents.usage import UsageReports
from runwright.domain.instants import HOUR_US
from runwright.domain.ports import ProjectSealer
from runwright.domain.tenancy import Actor
from runwright.engine.engine import Engine


class Agents:
    """The verbs of agents, put together over an engine."""

    def __init__(self, engine: Engine, sealer: ProjectSealer) -> None:
        self._engine = engine
        store, ttl_us = engine.store, int(engine.settings.idempotency_ttl_h * HOUR_US)
        self.personas = Personas(store, ttl_us)
        self.routes = Routes(store, ttl_us, most=engine.settings.routes_max)
        self.models = Models(self.routes, engine.settings, engine.clock)
        self.credentials = Credentials(store, engine.vault, ttl_us)
        self.threads = Threads(store, sealer, engine.operations.artifacts, ttl_us)
        self.budgets = Budgets(store)
        self.usage = UsageReports(store)
        kpi = engine.operations.kpi
        self.catalogs = Catalogs(self.models, self.credentials, self.budgets, kpi, engine.settings, engine.clock)
        self.inputs = Inputs(store, engine.commit, engine.values, engine.vault.redactors)
        self.kept = KeptValues(engine.values, ToolBounds.of(engine.settings))
        self.terms = Terms(
            self.personas, self.routes, engine.clock, engine.settings.local_model_context, engine.settings.model_policy
        )
        self.runs = AgentRuns(
            store,
            engine.commit,
            engine.submitter,
            engine.values,
            self.threads,
            self.terms,
            engine.clock,
            line_max=engine.settings.thread_line_max,
        )

    async def erase(self, actor: Actor, thread_id: str) -> int:
        """Erase a thread for good, with the data of all of its runs; return how many those are.

        One that was cut off is finished when it is asked for again.
        """
        runs = await self.threads.erase(actor, thread_id)
        reader = self._engine.reader(actor)
        kept = {record.run.run_id for record in await reader.records(runs)}
        for run_id in runs:
            if run_id in kept:
                await self._engine.operations.eraser.erase(reader, actor, run_id)
        return len(kept)
