"""What every order on the runtime surface may say, whatever it makes."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from runwright.domain.runtime_terms import GateTerms, RunPolicy

Count = Annotated[int, Meta(ge=1, le=10**12)]
Label = Annotated[str, Meta(max_length=512)]


class RuntimeBudget(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much all steps together may use, at most; what is not named is not limited."""

    max_cost_usd: Annotated[float, Meta(gt=0, le=1_000_000, description="In US dollars.")] | None = None
    max_tokens: Count | None = None
    max_runtime_seconds: Annotated[Count, Meta(description="Time of execution; what the run waits is free.")] | None = (
        None
    )
    max_tool_calls: Annotated[Count, Meta(description="Commands and gates, and calls of tools by models.")] | None = (
        None
    )
    warn_at_pct: Annotated[int, Meta(ge=1, le=100, description="Warn when so much of a limit is used.")] = 80


class RunOrderRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Over which repository, and within which bounds."""

    repo: Annotated[
        Annotated[str, Meta(max_length=2_048)] | None,
        Meta(description="An http(s) address, or a path beneath a directory that the server takes."),
    ] = None
    ref: Annotated[
        Annotated[str, Meta(max_length=255)] | None, Meta(description="A branch, a tag or a commit; default: its own.")
    ] = None
    objective: Annotated[str, Meta(max_length=4_096, description="What it is about, in words.")] = ""
    budget: RuntimeBudget = RuntimeBudget()
    policy: RunPolicy = RunPolicy()
    gate: GateTerms = GateTerms()
    labels: Annotated[dict[str, Label], Meta(max_length=64, description="Shown with the run; its tags.")] = {}
    project_id: Annotated[str | None, Meta(description="Id or slug; default: the key's.")] = None
    queue: Annotated[str, Meta(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$", max_length=128)] = "runtime"
    priority: Annotated[int, Meta(ge=0, le=10)] = 0
