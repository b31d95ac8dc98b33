"""Lead a workflow on within the transaction of the commit: who proposes what comes next is `engine.advances`."""

from __future__ import annotations

from runwright.domain.commands import Proceed
from runwright.domain.run import Run
from runwright.domain.workflow_plan import follow
from runwright.engine.batch import Batch
from runwright.engine.requests import Advance
from runwright.errors import InvalidTransition, NotFound, Overtaken


def advance(batch: Batch, request: Advance) -> Run:
    """Make the runs of steps, with what the workflow's log says of them; nothing where that log has gone on.

    That its place has not changed is what makes each step once: whoever released one wrote so there.
    """
    run = batch.after.get(request.run_id)
    if run is None:
        raise NotFound("run", request.run_id)
    if run.place != request.after:
        raise Overtaken(f"another process led run {run.run_id} on; look where its log ends")
    for step in request.followers:
        _take_along(batch, run, batch.after.get(step))
    if not request.drafts and request.outcome is None:
        return run
    for submit in request.submits:
        batch.decide(submit)
    told = Proceed(run_id=run.run_id, on="child", cause=request.cause, drafts=request.drafts, outcome=request.outcome)
    return batch.decide(told)


def _take_along(batch: Batch, workflow: Run, step: Run | None) -> None:
    command = None if step is None else follow(workflow, step)
    try:
        if command is not None:
            batch.decide(command)
    except InvalidTransition:
        pass  # it is on its way into a pause: when it is there, it is looked at again
