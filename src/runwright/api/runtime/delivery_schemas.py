"""The shapes of deliveries on the wire."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runwright.domain import delivery_terms as t
from runwright.domain.delivery_events import Code
from runwright.domain.delivery_wanted import When

Actions = Annotated[tuple[t.Action, ...], Meta(min_length=1, max_length=3)]
RunId = Annotated[str, Meta(min_length=1, max_length=128, pattern=r"^[^\x00]*$")]
Name = Annotated[str, Meta(min_length=1, max_length=100, pattern=r"^[^\x00-\x1f\x7f,]*(?!\n)$")]


class CommitOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the commit is to be. The committer is Runwright; both dates are that of the run."""

    message: Annotated[
        t.Text | None,
        Meta(description="With places for {run_id}, {objective}, {base_sha}, {tree_hash}; default: the objective."),
    ] = None
    author: t.Author = t.Author()
    signoff: Annotated[bool, Meta(description="Add `Signed-off-by`, of the author.")] = False
    trailers: Annotated[dict[t.TrailerKey, t.Line], Meta(max_length=20, description="Lines below the message.")] = {}


class BranchOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What the branch is called."""

    template: Annotated[t.Template, Meta(description="With the same places.")] = t.BRANCH


class PullRequestOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How the pull request is to be."""

    title: Annotated[t.Template, Meta(description="With the same places.")] = t.TITLE
    body_template: Annotated[
        t.Text,
        Meta(description="With the same places, and {report}: what gates say of the tree, and what a loop repaired."),
    ] = t.BODY
    base: Annotated[
        Annotated[str, Meta(min_length=1, max_length=255)] | None,
        Meta(description="The branch it is for; default: that of the run's `ref`, else the repository's own."),
    ] = None
    draft: bool = True
    if_no_drafts: Annotated[
        t.OnNoDrafts,
        Meta(description="Where the forge has no drafts (some plans of GitHub): `ready` opens it ready for review."),
    ] = "stop"
    labels: Annotated[tuple[Name, ...], Meta(max_length=20)] = ()
    reviewers: Annotated[tuple[Name, ...], Meta(max_length=20)] = ()


class ForRun(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of one run of several; what is not named is as it is for all."""

    actions: Actions | None = None
    commit: CommitOptions | None = None
    branch: BranchOptions | None = None
    pr: PullRequestOptions | None = None


class DeliveryOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of the tree of a run."""

    actions: Annotated[
        Actions | None,
        Meta(
            description="commit, then push, then open_pr; default: commit, or, where nothing else of what is to become "
            "of it is named either, what the order of the loop itself says."
        ),
    ] = None
    commit: CommitOptions = CommitOptions()
    branch: BranchOptions = BranchOptions()
    pr: PullRequestOptions = PullRequestOptions()
    if_base_moved: Annotated[
        t.OnBaseMoved,
        Meta(description="`stop`: not where the branch that it is for has gone on since the run began."),
    ] = "stop"


class DeliverRunRequest(DeliveryOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of a run."""

    dry_run: Annotated[bool, Meta(description="Tell what would be done, and do nothing.")] = False
    ask_again: Annotated[bool, Meta(description="Ask people once more what they have denied.")] = False


class DeliverRunsRequest(DeliverRunRequest, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of several runs, perhaps of different repositories."""

    run_ids: Annotated[tuple[RunId, ...], Meta(max_length=1000, description="In this order; each once.")]
    per_run: Annotated[dict[RunId, ForRun], Meta(max_length=1000, description="What is different, by run.")] = {}
    on_error: Annotated[
        Literal["continue", "fail_fast"], Meta(description="`fail_fast`: one after the other, up to the first failure.")
    ] = "continue"


class DeliveryStep(msgspec.Struct, frozen=True, kw_only=True):
    """How far an action has come; `unchanged`: the branch had the commit before."""

    action: t.Action
    status: Literal["done", "unchanged", "failed", "pending", "planned", "skipped"]
    detail: str | None


class DeliveredPullRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A pull request; `reused`: it was open before."""

    provider: str
    number: int
    url: str
    reused: bool


class DeliveryError(msgspec.Struct, frozen=True, kw_only=True):
    """Why a run was not delivered; `retryable`: the same call may go well another time."""

    code: Code
    message: str
    retryable: bool
    retry_after_s: int | None


class Delivered(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a run. `delivery_run_id` is the run that delivers it, with its log, approvals and evidence."""

    run_id: str
    status: Literal["succeeded", "failed", "skipped"]
    steps: list[DeliveryStep]
    delivery_run_id: str | None
    commit_sha: str | None
    branch: str | None
    pr: DeliveredPullRequest | None
    checkpoint_id: str | None
    evidence_event_id: str | None
    error: DeliveryError | None


class LoopDeliveryOptions(DeliveryOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to become of the tree of a loop by itself, once it has ended; people are asked before anything is."""

    when: Annotated[
        When,
        Meta(description="`clean`: if the loop ended so; `passed`: also if a ceiling did, and the verdict passed."),
    ] = "clean"


class LoopDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """How the delivery stands that the order of a loop asks for.

    `pending`: the loop goes on; `not_due`: it did not end so, or `error` says why there is nothing; then `under_way`,
    `awaiting_approval` (of `checkpoint_id`, at the run `delivery_run_id`), `succeeded`, `denied` or `failed`.
    """

    state: str
    when: str
    actions: list[t.Action]
    delivery_run_id: str | None
    commit_sha: str | None
    branch: str | None
    pr: DeliveredPullRequest | None
    checkpoint_id: str | None
    error: DeliveryError | None


class DeliveryCounts(msgspec.Struct, frozen=True, kw_only=True):
    """How many runs became what."""

    succeeded: int
    failed: int
    skipped: int


class DeliveredRuns(msgspec.Struct, frozen=True, kw_only=True):
    """What became of each run, in the order of the request; `batch_id` is the same for the same call."""

    batch_id: str
    on_error: str
    dry_run: bool
    counts: DeliveryCounts
    results: list[Delivered]
