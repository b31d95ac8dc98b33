"""Deliveries as they are shown, and what a request asks of them."""

from __future__ import annotations

from runwright.api.runtime import delivery_schemas as wire
from runwright.domain.delivery_events import PullRequest
from runwright.domain.delivery_wanted import CommitOrder, LoopDelivery, PullRequestOrder, Wanted
from runwright.governance.delivery_items import Batch, Item
from runwright.governance.delivery_order import Problem
from runwright.governance.loop_deliveries import Standing

NOTHING = wire.DeliveryOptions()


def wanted_of(body: wire.DeliveryOptions, own: wire.ForRun | None = None) -> Wanted | None:
    """Return what is to become of a run, of several perhaps; None where nothing of it is named."""
    named = (body.actions, body.commit, body.branch, body.pr, body.if_base_moved)
    usual = (NOTHING.actions, NOTHING.commit, NOTHING.branch, NOTHING.pr, NOTHING.if_base_moved)
    if named == usual and own in (None, wire.ForRun()):
        return None
    own = own or wire.ForRun()
    commit, pr = own.commit or body.commit, own.pr or body.pr
    return Wanted(
        actions=own.actions or body.actions or Wanted().actions,
        commit=CommitOrder(
            message=commit.message, author=commit.author, signoff=commit.signoff, trailers=dict(commit.trailers)
        ),
        branch=(own.branch or body.branch).template,
        pull_request=PullRequestOrder(
            title=pr.title,
            body_template=pr.body_template,
            base=pr.base,
            draft=pr.draft,
            if_no_drafts=pr.if_no_drafts,
            labels=pr.labels,
            reviewers=pr.reviewers,
        ),
        if_base_moved=body.if_base_moved,
    )


def of_loop(body: wire.LoopDeliveryOptions | None) -> LoopDelivery | None:
    """Return what is to become of a loop by itself; None: nothing."""
    return None if body is None else LoopDelivery(wanted=wanted_of(body) or Wanted(), when=body.when)


def runs_view(batch: Batch) -> wire.DeliveredRuns:
    """Return what became of several runs."""
    told = [item.status for item in batch.items]
    return wire.DeliveredRuns(
        batch_id=batch.batch_id,
        on_error=batch.on_error,
        dry_run=batch.dry_run,
        counts=wire.DeliveryCounts(
            succeeded=told.count("succeeded"), failed=told.count("failed"), skipped=told.count("skipped")
        ),
        results=[view(item) for item in batch.items],
    )


def view(item: Item) -> wire.Delivered:
    """Return what became of a run."""
    return wire.Delivered(
        run_id=item.run_id,
        status=item.status,
        steps=[wire.DeliveryStep(action=each.action, status=each.status, detail=each.detail) for each in item.steps],
        delivery_run_id=item.delivery_run_id,
        commit_sha=item.commit_sha,
        branch=item.branch,
        pr=_pull_request(item.pull_request),
        checkpoint_id=item.checkpoint_id,
        evidence_event_id=item.evidence_event_id,
        error=_error(item.error),
    )


def loop_delivery_view(standing: Standing | None) -> wire.LoopDelivery | None:
    """Return how the delivery stands that a loop's order asks for; None where it asks for none."""
    if standing is None:
        return None
    item = standing.item
    return wire.LoopDelivery(
        state=standing.state,
        when=standing.deliver.when,
        actions=list(standing.deliver.wanted.actions),
        delivery_run_id=None if item is None else item.delivery_run_id,
        commit_sha=None if item is None else item.commit_sha,
        branch=None if item is None else item.branch,
        pr=None if item is None else _pull_request(item.pull_request),
        checkpoint_id=None if item is None else item.checkpoint_id,
        error=_error(standing.error),
    )


def _pull_request(opened: PullRequest | None) -> wire.DeliveredPullRequest | None:
    if opened is None:
        return None
    return wire.DeliveredPullRequest(
        provider=opened.provider, number=opened.number, url=opened.url, reused=opened.reused
    )


def _error(problem: Problem | None) -> wire.DeliveryError | None:
    if problem is None:
        return None
    return wire.DeliveryError(
        code=problem.code, message=problem.message, retryable=problem.retryable, retry_after_s=problem.retry_after_s
    )
