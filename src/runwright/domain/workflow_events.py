"""The shapes of what the log of a workflow's run says of its steps; the catalogue is `events`."""

from __future__ import annotations

from typing import Literal

import msgspec

from runwright.domain.redaction import RedactedText


class StepStarted(msgspec.Struct, frozen=True, omit_defaults=True):
    """`workflow.step_started`: the step's run was made."""

    step: str
    run_id: str
    job: str


class StepEnded(msgspec.Struct, frozen=True, omit_defaults=True):
    """`workflow.step_ended`: how the step's run ended; one that could not be made failed, and has none."""

    step: str
    state: Literal["completed", "failed", "cancelled", "expired"]
    run_id: str | None = None
    error_class: str | None = None
    error: RedactedText | None = None


class StepSkipped(msgspec.Struct, frozen=True, omit_defaults=True):
    """`workflow.step_skipped`: the step will have no run; `because` of these steps."""

    step: str
    because: tuple[str, ...]


class StepReused(msgspec.Struct, frozen=True, omit_defaults=True):
    """`workflow.step_reused`: a replay takes over what this run of an earlier one gave."""

    step: str
    run_id: str


SHAPES: dict[str, type[msgspec.Struct]] = {
    "workflow.step_started": StepStarted,
    "workflow.step_ended": StepEnded,
    "workflow.step_skipped": StepSkipped,
    "workflow.step_reused": StepReused,
}
