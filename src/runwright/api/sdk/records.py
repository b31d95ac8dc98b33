"""Records and values that a running job's code writes: log, progress, checkpoints, outputs, usage, streams."""

from __future__ import annotations

from runwright.api import instants
from runwright.api.context import Call
from runwright.api.jobs.views import checkpoint_view, event_view, output_view, tool_call_view, usage_view
from runwright.api.routing import Reply, Routes
from runwright.api.sdk import schemas as wire
from runwright.api.sdk.desk import ROUTE, Desk, either, working
from runwright.engine.calls import Keep, Said
from runwright.engine.reader import Seen

routes = Routes(tag="sdk")


@routes.post("/sdk/v1/runs/{run_id}/log", **ROUTE, status=201, summary="Write a line into the run's log")
async def write_log(call: Call, run_id: str, body: wire.LogRequest) -> Reply[wire.SavedEvent]:
    """Append a line; secrets are taken out of it before it is stored."""
    data = body.data if body.type == "log" else {**body.data, "type": body.type}
    said = Said("log", data, "warning" if body.level == "warn" else body.level, body.message)
    async with working(call, run_id) as desk:
        event = await call.services.engine.calls.record(desk.attempt, said)
        return desk.saved(wire.SavedEvent, event_view(event))


@routes.post("/sdk/v1/runs/{run_id}/progress", **ROUTE, status=201, summary="Tell how far the work is")
async def report_progress(call: Call, run_id: str, body: wire.ProgressRequest) -> Reply[wire.SavedEvent]:
    """Tell how far the work is, in percent."""
    data = {"percent": body.percent, "message": body.message, "step": body.step, "eta_seconds": body.eta_seconds}
    said = Said(
        "run.progress", {name: value for name, value in data.items() if value is not None}, "info", body.message
    )
    async with working(call, run_id) as desk:
        event = await call.services.engine.calls.record(desk.attempt, said)
        return desk.saved(wire.SavedEvent, event_view(event))


@routes.post("/sdk/v1/runs/{run_id}/annotate", **ROUTE, summary="Add to the run's metadata")
async def annotate_run(call: Call, run_id: str, body: wire.AnnotateRequest) -> Reply[wire.Standing]:
    """Add to the run's metadata; a name that is there already gets the new text."""
    async with working(call, run_id) as desk:
        await call.services.engine.fleet.annotate(desk.attempt, body.annotations)
        return _standing(desk)


@routes.post("/sdk/v1/runs/{run_id}/heartbeat", **ROUTE, summary="Renew the run's lease")
async def renew_lease(call: Call, run_id: str) -> Reply[wire.Standing]:
    """Renew the lease now. Every other call of a run that its endpoint accepted renews it, too."""
    async with working(call, run_id) as desk:
        await call.services.engine.fleet.touch(desk.attempt, now=True)
        return _standing(desk)


@routes.post("/sdk/v1/runs/{run_id}/checkpoint", **ROUTE, status=201, summary="Save a checkpoint")
async def save_checkpoint(call: Call, run_id: str, body: wire.CheckpointRequest) -> Reply[wire.SavedCheckpoint]:
    """Save a state to go on from, under the next number of the run."""
    async with working(call, run_id) as desk:
        event, sequence = await call.services.engine.calls.checkpoint(desk.attempt, body.state, body.source)
        seen = Seen(str(sequence), body.state, {"source": body.source}, event.created_at)
        return desk.saved(wire.SavedCheckpoint, checkpoint_view(run_id, seen))


@routes.post("/sdk/v1/runs/{run_id}/output", **ROUTE, status=201, summary="Save a named output")
async def save_output(call: Call, run_id: str, body: wire.OutputRequest) -> Reply[wire.SavedOutput]:
    """Save an output under its key, in place of an earlier one; one that is not what its schema says is refused."""
    key = either(body.output_key, body.key, "output_key", "key")
    said = Said("output.saved", {"output_key": key}, "info", f"output {key}")
    async with working(call, run_id) as desk:
        keep = Keep("output", key, body.value, body.schema)
        event = await call.services.engine.calls.record(desk.attempt, said, keep)
        seen = Seen(key, body.value, body.schema, event.created_at)
        return desk.saved(wire.SavedOutput, output_view(run_id, seen))


@routes.post("/sdk/v1/runs/{run_id}/usage", **ROUTE, status=201, summary="Report what a model call used")
async def report_usage(call: Call, run_id: str, body: wire.UsageRequest) -> Reply[wire.SavedUsage]:
    """Record tokens and cost."""
    total = body.prompt_tokens + body.completion_tokens if body.total_tokens is None else body.total_tokens
    data = {
        "provider": body.provider,
        "model": body.model,
        "prompt_tokens": body.prompt_tokens,
        "completion_tokens": body.completion_tokens,
        "total_tokens": total,
        "cost_microusd": body.cost_microusd,
    }
    async with working(call, run_id) as desk:
        said = Said("usage.reported", data, "info", f"{body.model}: {total} tokens")
        return desk.saved(wire.SavedUsage, usage_view(await call.services.engine.calls.record(desk.attempt, said)))


@routes.post("/sdk/v1/runs/{run_id}/tool-call", **ROUTE, status=201, summary="Report a call of a tool")
async def report_tool_call(call: Call, run_id: str, body: wire.ToolCallRequest) -> Reply[wire.SavedToolCall]:
    """Record what a tool was called with, and what came of it."""
    data = {
        "tool_name": body.tool_name,
        "input": body.input,
        "output": body.output,
        "duration_ms": body.duration_ms,
        "status": body.status,
    }
    async with working(call, run_id) as desk:
        said = Said("tool.called", data, "info", f"{body.tool_name}: {body.status}")
        return desk.saved(
            wire.SavedToolCall, tool_call_view(await call.services.engine.calls.record(desk.attempt, said))
        )


@routes.post("/sdk/v1/runs/{run_id}/iteration", **ROUTE, status=201, summary="Tell which round of work begins")
async def report_iteration(call: Call, run_id: str, body: wire.IterationRequest) -> Reply[wire.SavedEvent]:
    """Record that the next round begins, as those who follow the run see."""
    data = {"iteration": body.iteration, "description": body.description}
    said = Said("iteration.reported", data, "info", body.description or f"iteration {body.iteration}")
    async with working(call, run_id) as desk:
        event = await call.services.engine.calls.record(desk.attempt, said)
        return desk.saved(wire.SavedEvent, event_view(event))


@routes.post("/sdk/v1/runs/{run_id}/resources", **ROUTE, status=201, summary="Tell what the run uses of its machine")
async def report_resources(call: Call, run_id: str, body: wire.ResourcesRequest) -> Reply[wire.SavedEvent]:
    """Record the use of processor and memory."""
    named = {"cpu_percent": body.cpu_percent, "memory_mb": body.memory_mb, "memory_percent": body.memory_percent}
    said = Said("resources.reported", {name: value for name, value in named.items() if value is not None}, "debug")
    async with working(call, run_id) as desk:
        event = await call.services.engine.calls.record(desk.attempt, said)
        return desk.saved(wire.SavedEvent, event_view(event))


@routes.post("/sdk/v1/runs/{run_id}/stream", **ROUTE, summary="Send a piece of a stream")
async def write_stream(call: Call, run_id: str, body: wire.StreamRequest) -> Reply[wire.Standing]:
    """Append a piece of text for whoever follows; what could begin a secret waits for the piece that tells."""
    async with working(call, run_id) as desk:
        await call.services.engine.calls.stream(desk.attempt, body.chunk, body.stream_id, done=body.done)
        return _standing(desk)


@routes.post("/sdk/v1/runs/{run_id}/state", **ROUTE, status=201, summary="Keep a value of the run")
async def set_state(call: Call, run_id: str, body: wire.StateRequest) -> Reply[wire.SavedState]:
    """Keep a small JSON value under a key, in place of an earlier one."""
    key = either(body.state_key, body.key, "state_key", "key")
    said = Said("state.set", {"state_key": key}, "debug", f"state {key}")
    async with working(call, run_id) as desk:
        event = await call.services.engine.calls.record(desk.attempt, said, Keep("state", key, body.value))
        at = instants.text(event.created_at)
        own = wire.OwnState(run_id=run_id, state_key=key, value=body.value, updated_at=at)
        return desk.saved(wire.SavedState, own)


def _standing(desk: Desk) -> Reply[wire.Standing]:
    run = desk.attempt.run
    return desk.reply(
        wire.Standing(
            run_id=run.run_id,
            attempt=run.attempt,
            lease_epoch=run.lease_epoch,
            metadata=run.metadata,
            stop=run.stop,
        )
    )
