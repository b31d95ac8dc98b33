"""Do an agent step: the loop of agents over the run's workspace, log and budget.

Its conversation is what the log tells since the step began, so a lost worker, a pause or a rest loses no turn of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import msgspec
from msgspec.structs import replace

from runwright.agents import loop
from runwright.agents.agents import Agents
from runwright.agents.loop import PAGE, AgentLoop
from runwright.agents.tools.runner import Runner
from runwright.agents.tools.workspace import Kept, RunWorkspace
from runwright.domain import outcome as o
from runwright.domain import runtime_events as r
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.conversation import Conversation, Spent, fold
from runwright.domain.model_call import Message, Text
from runwright.domain.next_move import executed_us
from runwright.domain.next_step import EXHAUSTED, TOO_LONG, UNPRICED, Stage
from runwright.domain.orchestration import TURNS
from runwright.domain.run import Run
from runwright.domain.runtime_terms import AgentStep, RuntimeTerms
from runwright.domain.step_terms import rules_of, shown, speaking, told_first
from runwright.engine.attempt import Attempt
from runwright.engine.engine import Engine
from runwright.engine.reader import Beyond
from runwright.errors import Internal
from runwright.executors.agent import base_url_of, prompt_of, secret_of
from runwright.executors.agent_kit import Kit
from runwright.executors.orchestrated.commands import Done
from runwright.store.queries.events import OF_TYPE, event_of

_OF_STEP = (EXHAUSTED, TOO_LONG, UNPRICED)


class Turns(msgspec.Struct, frozen=True, kw_only=True):
    """What agent steps work with."""

    engine: Engine
    agents: Agents
    kit: Kit
    terms: RuntimeTerms
    workspace: Callable[[Kept | None], RunWorkspace]

    async def take(self, step: AgentStep, attempt: Attempt, run: Run) -> Done | o.Outcome:
        """Return what came of a step that has begun, or how the attempt ends in the middle of it."""
        ended = await self.talk(await self._stage(step, run), attempt, run, await self._began(step, run))
        match ended:
            case o.Completed():
                return Done("succeeded", shown(ended.output))
            case o.Failed(code=code) if code in _OF_STEP:
                return Done("failed", ended.message)
            case _:
                return ended

    async def talk(self, stage: Stage, attempt: Attempt, run: Run, since: int) -> o.Outcome:
        """Return how a conversation ends of which the log tells since an event."""
        return await AgentLoop(attempt, await self._means(stage, run, since)).run()

    async def _stage(self, step: AgentStep, run: Run) -> Stage:
        terms = speaking(self.terms, step)
        system = told_first(self.terms, await prompt_of(self.engine, run.spec.project_id, terms))
        return await self.stage(terms, system, (step.task,), run)

    async def stage(self, terms: AgentTerms, system: str, said: Sequence[str], run: Run) -> Stage:
        """Return what a conversation begins with: what was said, in turns from the user on, without known secrets."""
        engine, kit, spec = self.engine, self.kit, run.spec
        clean = engine.vault.redactors.of(spec.project_id).text
        return Stage(
            terms=terms,
            system=system,
            history=tuple(
                Message("assistant" if at % 2 else "user", (Text(clean(text)),)) for at, text in enumerate(said)
            ),
            catalogue=kit.toolbox.catalogue,
            rules=rules_of(self.terms, kit.toolbox.catalogue),
            base_url=await base_url_of(engine, terms),
            warn_percent=self.terms.warn_at_pct,
        )

    async def _means(self, stage: Stage, run: Run, since: int) -> loop.Means:
        engine, kit, spec = self.engine, self.kit, run.spec
        return loop.Means(
            stage=stage,
            model=kit.providers,
            secret=lambda: secret_of(self.agents, spec.project_id, stage.terms),
            events=lambda after, limit: engine.store.events(spec.run_id, after, limit),
            redactor=lambda: engine.vault.redactors.of(spec.project_id),
            runner=lambda workspace: Runner(kit.toolbox, engine.clock, workspace),
            workspace=self.workspace,
            leave=lambda left: (),
            budgets=lambda: self.agents.budgets.of_run(spec, engine.clock.now()),
            preview_bytes=kit.toolbox.bounds.preview_bytes,
            attempts_max=engine.settings.model_attempts_max,
            rest_s=engine.settings.model_rest_s,
            start=await self._so_far(run, since),
            own_ids=True,
        )

    async def _so_far(self, run: Run, since: int) -> Conversation:
        """Return the conversation since an event; what is spent is what the whole run has used."""
        store, talk = self.engine.store, Conversation(seq=since)
        while True:
            events = await store.events(run.run_id, talk.seq, PAGE)
            talk = fold(events, talk)
            if len(events) < PAGE:
                break
        course, used, now = run.course, run.usage, self.engine.clock.now()
        assert course is not None
        return replace(
            talk,
            snapshot=course.snapshot,
            warned=(*course.warned, *(name for name in talk.warned if name == TURNS)),
            executing_since=now,
            spent=Spent(
                turns=talk.spent.turns,
                tool_calls=course.tool_calls,
                tokens=used.input_tokens + used.output_tokens,
                cost_microusd=used.cost_microusd,
                executed_us=executed_us(run, now),
            ),
        )

    async def _began(self, step: AgentStep, run: Run) -> int:
        """Return where the step began for the first time."""
        beyond = Beyond()
        while True:
            among = {"run_id": run.run_id, "type": "step.started", "limit": PAGE, **beyond._asdict()}
            events = [event_of(row) for row in await self.engine.store.fetch(OF_TYPE[0], **among)]
            for event in events:
                told = msgspec.json.decode(event.data or b"", type=r.StepBegun)
                if told.step_id == step.ident:
                    return event.seq
            if len(events) < PAGE:
                raise Internal(f"the step {step.ident} has not begun")
            beyond = beyond._replace(after_seq=events[-1].seq)
