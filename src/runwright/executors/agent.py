"""Execute agent runs: set the stage that a run's terms name, and drive its loop."""

from __future__ import annotations

from typing import Self

from runwright.agents.agents import Agents
from runwright.agents.loop import AgentLoop, Means
from runwright.agents.tools.runner import Runner
from runwright.agents.tools.toolbox import Toolbox
from runwright.config import Settings
from runwright.domain import outcome as o
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.lane import Lane
from runwright.domain.model_call import Message
from runwright.domain.next_step import Stage
from runwright.domain.persona import reference
from runwright.domain.ports import ArtifactStore
from runwright.domain.run import AGENT
from runwright.domain.thread import ImagePart
from runwright.domain.tools import ToolRules
from runwright.domain.transcript import read
from runwright.engine.attempt import Attempt
from runwright.engine.engine import Engine
from runwright.errors import Conflict, Internal
from runwright.executors.agent_kit import LazyKit
from runwright.store.queries import personas as q


class AgentExecutor:
    """Executes agent runs with the models and tools of this process.

    Attach it before the engine starts; whoever made the kit closes it.
    """

    name = AGENT

    def __init__(self, kit: LazyKit, artifacts: ArtifactStore) -> None:
        self._kit = kit
        self._artifacts = artifacts
        self._behind: tuple[Engine, Agents] | None = None

    @classmethod
    async def open(cls, settings: Settings, kit: LazyKit, artifacts: ArtifactStore) -> Self | None:
        """Return the executor that the settings want, or none. Raises `InvalidSettings` for scripts that are none."""
        if settings.agent_slots == 0:
            return None
        if settings.model_scripts is not None:
            await kit.get()  # what is wrong with scripts is a matter of the start, not of the first run
        return cls(kit, artifacts)

    def attach(self, engine: Engine, agents: Agents) -> None:
        """Take the engine that claims for it, and the verbs of agents over it."""
        self._behind = engine, agents

    def serves(self, lane: Lane) -> bool:
        """Tell whether these are runs of agents: any process can execute each of them."""
        return lane.executor == self.name

    async def execute(self, attempt: Attempt) -> o.Outcome:
        """Drive a run to its end, or to where it waits."""
        if self._behind is None:
            raise Internal("the executor of agents is attached to no engine")
        engine, agents = self._behind
        spec, terms = attempt.run.spec, attempt.run.spec.agent
        if terms is None:
            raise Internal("an agent run has no terms")
        kit = await self._kit.get()
        stage = await self._stage(attempt, engine, agents, kit.toolbox)

        means = Means(
            stage=stage,
            model=kit.providers,
            secret=lambda: secret_of(agents, spec.project_id, terms),
            events=lambda after, limit: engine.store.events(spec.run_id, after, limit),
            redactor=lambda: engine.vault.redactors.of(spec.project_id),
            runner=lambda workspace: Runner(kit.toolbox, engine.clock, workspace),
            workspace=lambda last: kit.toolbox.workspace(spec.run_id, last),
            leave=lambda left: tuple(
                agents.threads.sealed(spec.project_id, each.role, each.parts, engine.clock.now(), hidden=each.hidden)
                for each in left
            ),
            budgets=lambda: agents.budgets.of_run(spec, engine.clock.now()),
            preview_bytes=kit.toolbox.bounds.preview_bytes,
            attempts_max=engine.settings.model_attempts_max,
            rest_s=engine.settings.model_rest_s,
        )
        return await AgentLoop(attempt, means).run()

    async def _stage(self, attempt: Attempt, engine: Engine, agents: Agents, toolbox: Toolbox) -> Stage:
        project_id, terms = attempt.run.spec.project_id, attempt.run.spec.agent
        assert terms is not None
        clean = engine.vault.redactors.of(project_id).text
        history: list[Message] = []
        for message, parts in await agents.threads.transcript(attempt.run):
            pictures = {part.artifact for part in parts if isinstance(part, ImagePart)}
            images = {digest: await self._artifacts.get(digest) for digest in pictures}
            history.append(read(message.role, parts, images, clean))
        return Stage(
            terms=terms,
            system=await prompt_of(engine, project_id, terms),
            history=tuple(history),
            catalogue=toolbox.catalogue,
            rules=ToolRules.of(terms),
            base_url=await base_url_of(engine, terms),
        )


async def secret_of(agents: Agents, project_id: str, terms: AgentTerms) -> str | None:
    """Return the secret that calls are made with, None where none is needed."""
    credential = terms.credential_id
    return None if credential is None else await agents.credentials.key(credential, project_id)


async def base_url_of(engine: Engine, terms: AgentTerms) -> str | None:
    """Return where the provider is asked; None: where its kind is asked always."""
    if terms.credential_id is None:
        return None
    rows = await engine.store.fetch(q.PROVIDER, provider_id=terms.credential_id)
    return q.provider(rows[0]).base_url if rows else None


async def prompt_of(engine: Engine, project_id: str, terms: AgentTerms) -> str:
    """Return the prompt of the persona's version, which never changes. Raises `Conflict` where it is gone."""
    named = reference(terms.persona_id)
    rows = []
    if named is not None and named[1] is not None:
        key, version = named
        rows = await engine.store.fetch(q.PERSONA, project_id=project_id, key=key, version=version)
    if not rows:
        raise Conflict(f"the persona {terms.persona_id} is gone", code="personas.gone")
    return q.persona(rows[0]).definition.prompt
