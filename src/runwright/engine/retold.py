"""Tell the audit log which ended runs were done again: what happens to a run after its end is no part of its own log.

One entry for each request, in the transaction that makes the new runs. The organization's turn is taken before any
other lock, as every audited verb takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from runwright.domain.commands import Submit
from runwright.engine.requests import Request, Submitted, Tell
from runwright.store import audit
from runwright.store.base import Transaction


async def lock(tx: Transaction, submits: Iterable[Submit]) -> None:
    """Take the turns of the organizations whose runs are to be done again."""
    for org_id in sorted({submit.spec.org_id for submit in submits if submit.spec.replay_of is not None}):
        await audit.lock(tx, org_id)


async def tell(tx: Transaction, group: Sequence[Request], answers: Sequence[Any]) -> None:
    """Append the entry of a request that did runs again: about the run, or about the batch operation of several."""
    made = [
        request.spec
        for request, answer in zip(group, answers, strict=True)
        if isinstance(request, Submit) and request.spec.replay_of is not None
        if isinstance(answer, Submitted) and not answer.hit
    ]
    if not made:
        return
    first = made[0]
    for request in group:
        if isinstance(request, Tell):
            batch_id = request.operation.batch_id
            await audit.append(tx, first.org_id, first.created_by, "runs.replayed", batch_id, {"runs": len(made)})
            return
    for spec in made:
        data = {"replayed_as": spec.run_id}
        await audit.append(tx, spec.org_id, spec.created_by, "run.replayed", spec.replay_of or "", data)
