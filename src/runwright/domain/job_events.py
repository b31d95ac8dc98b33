"""The shapes of what a run's own code makes its log say; the rest of the catalogue, and the catalogue, is `events`."""

from __future__ import annotations

from typing import Any

import msgspec

from runwright.domain.run import ValueRef


class Progress(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.progress`: how far the work is, in percent; at which step, and how long it will still take."""

    percent: float
    message: str = ""
    step: str | None = None
    eta_seconds: float | None = None


class ChildSpawned(msgspec.Struct, frozen=True, omit_defaults=True):
    """`child.spawned`: the job's code made a run of a job."""

    child_run_id: str
    job: str


class Continued(msgspec.Struct, frozen=True, omit_defaults=True):
    """`run.continued`: the job's code made a run of its own job that goes on where this one ends."""

    run_id: str
    lineage_depth: int


class Log(msgspec.Struct, frozen=True, omit_defaults=True):
    """`log`: a line that the job wrote; the text is the event's message, the data whatever it added."""


class Chunk(msgspec.Struct, frozen=True, omit_defaults=True):
    """`stream.chunk`: a piece of a named stream; neighbouring pieces of one flush are merged."""

    chunk: str
    stream_id: str = "default"
    done: bool = False


class CheckpointSaved(msgspec.Struct, frozen=True, omit_defaults=True):
    """`checkpoint.saved`: the job saved its state."""

    sequence: int
    source: str = "sdk"
    value: ValueRef | None = None


class OutputSaved(msgspec.Struct, frozen=True, omit_defaults=True):
    """`output.saved`: the job published a named output."""

    output_key: str
    value: ValueRef | None = None


class StateSet(msgspec.Struct, frozen=True, omit_defaults=True):
    """`state.set`: the job keeps a value of its own under a key, for its later attempts and for operators."""

    state_key: str
    value: ValueRef | None = None


class StateDeleted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`state.deleted`: the job forgot a value."""

    state_key: str


class UsageReported(msgspec.Struct, frozen=True, omit_defaults=True):
    """`usage.reported`: the job used a model; the cost is in millionths of a US dollar."""

    provider: str
    model: str
    prompt_tokens: int = 0
    completion_tokens: int = 0
    total_tokens: int = 0
    cost_microusd: int = 0


class ToolCalled(msgspec.Struct, frozen=True, omit_defaults=True):
    """`tool.called`: the job called a tool, with what, and what came of it."""

    tool_name: str
    input: Any = None
    output: Any = None
    duration_ms: int = 0
    status: str = "completed"


class Iterated(msgspec.Struct, frozen=True, omit_defaults=True):
    """`iteration.reported`: the job's code begins its next round."""

    iteration: int
    description: str = ""


class ResourcesUsed(msgspec.Struct, frozen=True, omit_defaults=True):
    """`resources.reported`: what the job's code found that it uses of its machine."""

    cpu_percent: float | None = None
    memory_mb: float | None = None
    memory_percent: float | None = None


class StepStarted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`step.started`: a step with an effect is about to run; its idempotency key goes with it."""

    name: str
    effect: str
    idempotency_key: str


class StepCompleted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`step.completed`: the step's result is stored and will not be computed again."""

    name: str
    effect: str = "none"
    duration_ms: int = 0
    reused: bool = False
    value: ValueRef | None = None


class StepUnknown(msgspec.Struct, frozen=True, omit_defaults=True):
    """`step.unknown`: an unsafe step had started and nobody knows whether it finished."""

    name: str
