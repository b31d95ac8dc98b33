"""Agent runs as the engine sees them: commands that make, ask and answer them."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright import ids
from runwright.domain import commands as c
from runwright.domain import outcome as o
from runwright.domain.agent_terms import AgentTerms
from runwright.domain.question import Mode, Question
from runwright.domain.redaction import Redactor
from runwright.domain.run import Run, Spec, Wait
from runwright.domain.tenancy import Cause
from runwright.engine.values import encode
from tests.engine.world import ADMIN, World

redactor = Redactor()
TERMS = AgentTerms(thread_id="thr_1", persona_id="default@1", route_id="route_1", provider="scripted", model="echo")


def agent_run(world: World, **given: Any) -> c.Submit:
    """Return the command that makes an agent run, outside of any thread."""
    now = world.clock.now()
    usual: dict[str, Any] = {
        "run_id": ids.new_id("run", now),
        "org_id": "org_1",
        "project_id": "proj_1",
        "kind": "agent",
        "executor": "agent",
        "payload": world.engine.values.ref("proj_1", b"{}"),
        "trace_id": "t" * 32,
        "created_at": now,
        "created_by": ADMIN.label,
        "agent": TERMS,
    }
    spec = Spec(**{**usual, **given})
    opening = redactor.raw(msgspec.json.encode(spec))
    payload = world.engine.values.seal_payload(spec, b"{}")
    return c.Submit(spec=spec, opening=opening, payload=payload, cause=Cause(ADMIN.label))


async def asking(world: World, due_at: int | None = None, request_id: str = "rq_1") -> Run:
    """Return an agent run that waits for an answer."""
    await world.engine.commit.apply(agent_run(world))
    (run,) = await world.take()
    question = Question(request_id=request_id, prompt=redactor.text("Which one?"))
    return await world.finish(run, o.Parked(due_at, Wait("input", request_id), question))


def answering(world: World, run: Run, content: str, mode: Mode = "answer", **given: Any) -> c.Answer:
    """Return what somebody says to a run."""
    delivery = None
    if mode == "answer":
        values, spec = world.engine.values, run.spec
        encoded = encode({"content": content})
        sealed = values.seal(spec.project_id, spec.run_id, "input/rq_1", encoded)
        delivery = c.Delivery("rq_1", values.ref(spec.project_id, encoded), sealed)
    usual: dict[str, Any] = {
        "run_id": run.run_id,
        "request_id": "rq_1" if mode == "answer" else None,
        "delivery": delivery,
    }
    return c.Answer(mode=mode, content=redactor.text(content), cause=Cause(ADMIN.label), **{**usual, **given})
