"""Lead the runs of workflows on: release and skip steps, and end with the last of them.

Whatever may let a workflow go on leaves the errand `advance`: it began or was resumed, the run of a step ended. Who
does it reads the workflow's log, asks `domain.workflow_plan` what comes next, and has it written in one transaction
under the place of the log that was read: of two that do it at once, on any servers, one writes, the other looks again.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec

from runwright.clock import Clock
from runwright.domain import outcome as o
from runwright.domain import workflow_events as w
from runwright.domain.commands import Submit
from runwright.domain.ending import draft
from runwright.domain.events import Draft, Event
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run
from runwright.domain.tenancy import system
from runwright.domain.workflow import Step
from runwright.domain.workflow_plan import BROKEN, WORDS, Plan, Stage, failure, follow, plan, told
from runwright.engine.commit import Commit
from runwright.engine.loops import Loop
from runwright.engine.requests import Advance
from runwright.engine.steps import Steps
from runwright.engine.values import Values, encode
from runwright.errors import Error, Overtaken, StoreError
from runwright.store.base import Record, Store
from runwright.store.queries import workflows as q
from runwright.telemetry import report

PAGE = 200
TRIES = 20
"""How often somebody else may be faster in a row, before the errand is left for later."""
VERSIONS_KEPT = 1000
_decode = msgspec.json.Decoder(str).decode


class Advances:
    """The errand `advance`. The loop beneath looks at a page of the workflows that go on, in turns.

    It is for what left no errand: the end of a step's run on a server of the version before.
    """

    def __init__(
        self, store: Store, commit: Commit, steps: Steps, values: Values, clock: Clock, *, every_s: float
    ) -> None:
        self._store = store
        self._commit = commit
        self._steps = steps
        self._values = values
        self._above = ""
        self._versions: dict[str, tuple[Step, ...]] = {}
        self.loop = Loop("workflows", self._once, clock, every_s=every_s)

    async def advance(self, run_id: str, body: bytes) -> None:
        """Lead a workflow's run on, as far as it goes now."""
        await self._lead(_decode(body))

    async def _once(self) -> None:
        page = [run_id for (run_id,) in await self._store.fetch(q.GOING_ON, above=self._above, limit=PAGE)]
        self._above = page[-1] if len(page) == PAGE else ""
        for run_id in page:
            try:
                await self._lead(run_id)
            except StoreError:
                raise
            except Error as refused:
                report("workflow.refused", run_id=run_id, code=refused.code, detail=refused.detail)

    async def _lead(self, run_id: str) -> None:
        for _ in range(TRIES):
            record = await self._store.record(run_id)
            if record is None or record.run.terminal:
                return
            look = _Look(await self.stages(run_id))
            request = await self._next(record, look)
            if request is None:
                return
            try:
                await self._commit.apply(request)
            except Overtaken:
                continue
            report("workflow.advanced", run_id=run_id, steps=look.done)
            return
        raise Overtaken(f"others lead the run {run_id} on")

    async def _next(self, record: Record, look: _Look) -> Advance | None:
        """Return what is to be written next of a workflow's run; None where it only waits."""
        run = record.run
        open_ids = look.open
        runs = {each.run.run_id: each.run for each in await self._store.records_of(list(open_ids))}
        followers = tuple(run_id for run_id, step in runs.items() if follow(run, step) is not None)
        outcome: o.Completed | o.Failed | None = None
        if run.state == "waiting":
            for run_id, key in open_ids.items():
                look.end(key, run_id, runs.get(run_id))
            outcome = await self._go_on(record, look)
        if not followers and not look.drafts and outcome is None:
            return None
        return Advance(
            run_id=run.run_id,
            after=run.place,
            cause=system("workflow"),
            submits=tuple(look.submits),
            drafts=tuple(look.drafts),
            followers=followers,
            outcome=outcome,
        )

    async def _go_on(self, record: Record, look: _Look) -> o.Completed | o.Failed | None:
        """Release and skip what can be; a step that cannot be made has failed, and what comes next is asked again."""
        steps = await self._definition(record.run)
        by_key = {step.key: step for step in steps}
        while True:
            coming = plan(steps, {key: stage.standing for key, stage in look.stages.items()})
            look.skip(coming.skip)
            refused = False
            for key in coming.release:
                try:
                    submit = await self._steps.command(record, by_key[key], look.stages)
                except Error as wrong:
                    if wrong.retryable or (isinstance(wrong, StoreError) and not wrong.code.startswith("keyring.")):
                        raise
                    report("workflow.step_refused", run_id=record.run.run_id, step=key, code=wrong.code)
                    look.refuse(key, wrong, self._steps.redacted(record.run, wrong.detail))
                    refused = True
                else:
                    look.start(by_key[key], submit)
            if not refused:
                return self._outcome(record.run, look.stages, coming)

    def _outcome(self, run: Run, stages: Mapping[str, Stage], coming: Plan) -> o.Completed | o.Failed | None:
        if coming.end is None:
            return None
        if coming.end == "failed":
            return failure(coming.failed[0], stages[coming.failed[0]])
        spec = run.spec
        encoded = encode({"steps": {key: stage.standing for key, stage in stages.items()}})
        sealed = self._values.seal(spec.project_id, spec.run_id, "result", encoded)
        return o.Completed(self._values.ref(spec.project_id, encoded), sealed)

    async def _definition(self, run: Run) -> tuple[Step, ...]:
        assert run.spec.workflow is not None
        version_id = run.spec.workflow.workflow_version_id
        if version_id not in self._versions:
            rows = await self._store.fetch(q.VERSION, workflow_version_id=version_id)
            if len(self._versions) >= VERSIONS_KEPT:
                self._versions.clear()
            self._versions[version_id] = q.version(rows[0]).definition.steps
        return self._versions[version_id]

    async def stages(self, run_id: str) -> dict[str, Stage]:
        """Return what the log of a workflow's run says of its steps; of one that was erased, nothing."""
        events: list[Event] = []
        while page := await self._store.events(run_id, len(events), PAGE):
            events += page
        return told(events)


class _Look:
    """What a look found of a workflow's steps, and what is to be written of it."""

    def __init__(self, stages: dict[str, Stage]) -> None:
        self.stages = stages
        self.submits: list[Submit] = []
        self.drafts: list[Draft] = []
        self.done: list[str] = []

    @property
    def open(self) -> dict[str, str]:
        """Return the runs of steps whose end was not told yet, each with its step."""
        return {stage.run_id or "": key for key, stage in self.stages.items() if stage.standing == "started"}

    def end(self, key: str, run_id: str, run: Run | None) -> None:
        """Tell how a step's run ended, if it has; one that is gone has failed."""
        if run is None:
            self._ended(key, "failed", run_id, "RunGone", RedactedText("the run of the step is not there any more"))
        elif run.state == "completed":
            self._ended(key, "completed", run_id)
        elif run.state in BROKEN:
            self._ended(key, run.state, run_id, run.error_class, run.error)

    def refuse(self, key: str, wrong: Error, said: RedactedText) -> None:
        """Tell that a step's run could not be made."""
        self._ended(key, "failed", None, wrong.code, said)

    def _ended(
        self,
        key: str,
        state: Literal["completed", "failed", "cancelled", "expired"],
        run_id: str | None,
        error_class: str | None = None,
        error: RedactedText | None = None,
    ) -> None:
        level: Literal["info", "warning"] = "info" if state == "completed" else "warning"
        data = w.StepEnded(key, state, run_id, error_class, error)
        self.drafts.append(draft("workflow.step_ended", data, f"step {key} {WORDS.get(state, state)}", level))
        self.done.append(state)
        self.stages[key] = Stage(state, run_id, False, error, error_class)

    def skip(self, skipped: Mapping[str, tuple[str, ...]]) -> None:
        """Tell which steps will have no run, and because of which."""
        for key, because in skipped.items():
            self.done.append("skipped")
            self.drafts.append(draft("workflow.step_skipped", w.StepSkipped(key, because), f"step {key} skipped"))
            self.stages[key] = Stage("skipped")

    def start(self, step: Step, submit: Submit) -> None:
        """Tell that a step's run is made."""
        data = w.StepStarted(step.key, submit.run_id, step.job)
        self.drafts.append(draft("workflow.step_started", data, f"step {step.key} started"))
        self.submits.append(submit)
        self.done.append("started")
        self.stages[step.key] = Stage("started", submit.run_id)
