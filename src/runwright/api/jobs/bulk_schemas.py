"""The shapes of what is done to many runs, to the dead letter queue, and to what a run is about to do."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, field

from runwright.api.instants import Instant
from runwright.api.jobs.run_schemas import Kind, Run, TriggeredBy
from runwright.api.pages import PageQuery
from runwright.domain.job_options import Key, Mode
from runwright.domain.run import State

BATCH = {"X-Batch-Id": "The batch operation that tells what became of each item."}
BULK_MAX = 500
CANCEL_MAX = 10_000

RunIds = Annotated[list[str], Meta(max_length=BULK_MAX)]
SomeRunIds = Annotated[list[str], Meta(min_length=1, max_length=BULK_MAX)]
Reason = Annotated[str, Meta(max_length=1000)]
Verb = Literal["trigger", "cancel", "cancel_all", "replay", "dlq_replay"]


class BulkCancelRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The runs to cancel, at most 500; `reason` is written into their logs."""

    run_ids: RunIds = field(default_factory=list)
    reason: Reason | None = None


class BulkCancelResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one run: the word that it shows now, and why it was not cancelled if it was not."""

    id: str
    status: str
    error: str | None
    code: str | None


class BulkCancelAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The results in the order asked for, each run once; `canceled` counts what was accepted, `failed` the rest."""

    results: list[BulkCancelResult]
    total: int
    canceled: int
    failed: int


class BulkCancelAllQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose runs are cancelled."""

    project_id: Annotated[
        str | None, Meta(description="Id or slug of the project whose runs are meant; default: the key's own.")
    ] = None


class BulkCancelAllRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which unfinished runs of the project to cancel; everything that is given must hold, as in the list of runs.

    With `dry_run` nothing is cancelled and `total` tells how many would be.
    """

    status: list[str] | str = field(default_factory=list)
    state: list[State] | State = field(default_factory=list)
    kind: list[Kind] | Kind = field(default_factory=list)
    job_id: str | None = None
    triggered_by: TriggeredBy | None = None
    batch_id: str | None = None
    payload_contains: Annotated[Any, Meta(description="JSON that the payload contains, as jsonb's @>.")] = None
    metadata: dict[str, str] = {}
    metadata_key: Key | None = None
    metadata_value: str | None = None
    tags: dict[str, str] = {}
    tag_key: Key | None = None
    tag_value: str | None = None
    concurrency_key: str | None = None
    parent_run_id: str | None = None
    error_class: str | None = None
    execution_mode: Mode | None = None
    created_after: Instant | None = None
    created_before: Instant | None = None
    reason: Reason | None = None
    limit: Annotated[int, Meta(ge=1, le=CANCEL_MAX, description="At most so many in this call.")] = CANCEL_MAX
    dry_run: bool = False


class BulkCancelAllAnswer(BulkCancelAnswer, frozen=True, kw_only=True):
    """The results, oldest run first (none for a dry run); `more` says that runs are left that the filters hold."""

    more: bool
    dry_run: bool


class BulkReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The ended runs to do again, 1 to 500."""

    run_ids: SomeRunIds
    version: Literal["same", "latest"] = "same"
    force: bool = False


class BulkDlqReplayRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Either the dead letters to replay, at most 500, or the project whose oldest `limit` are replayed."""

    run_ids: RunIds | None = None
    project_id: str | None = None
    limit: Annotated[int, Meta(ge=1, le=BULK_MAX)] = 100
    version: Literal["same", "latest"] = "same"


class BulkProblem(msgspec.Struct, frozen=True, kw_only=True):
    """Why one run was left out."""

    id: str
    error: str
    code: str


class BulkDlqReplayAnswer(msgspec.Struct, frozen=True, kw_only=True):
    """The new runs, in the order asked for, and why others were left out."""

    replayed: list[Run]
    count: int
    errors: list[BulkProblem]


class BatchResult(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one item: the run it was about, the run that a replay made of it, or why nothing was done."""

    id: str | None
    status: str | None
    new_run_id: str | None
    error: str | None
    code: str | None


class BatchOperationEntry(msgspec.Struct, frozen=True, kw_only=True):
    """One bulk verb: how many items it had, and for how many it was done; without an end it is at work, or was lost."""

    id: str
    project_id: str | None
    job_id: str | None
    verb: Verb
    item_count: int
    created_count: int
    created_by: str
    created_at: str
    finished_at: str | None


class BatchOperation(BatchOperationEntry, frozen=True, kw_only=True):
    """One bulk verb, with what became of each item, in their order."""

    results: list[BatchResult]


class BatchListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose bulk verbs are listed; without a project, all that the caller sees."""

    project_id: str | None = None


class RescheduleRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When the run begins instead (a past time is now), and what payload it has instead."""

    scheduled_at: Instant
    payload: dict[str, Any] | None = None


class DebugRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whether the attempts to come are recorded."""

    debug_mode: bool = True


class DebugMode(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the attempts to come are recorded."""

    run_id: str
    debug_mode: bool


class FreedKey(msgspec.Struct, frozen=True, kw_only=True):
    """`reset`: the key is free; `unset`: the run held none any more."""

    status: Literal["reset", "unset"]
    run_id: str
