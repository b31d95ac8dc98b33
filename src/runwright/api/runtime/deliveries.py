"""The routes of deliveries: trees of runs become commits, branches and pull requests, once people have allowed it."""

from __future__ import annotations

from runwright.api.context import Call
from runwright.api.routing import Routes
from runwright.api.runtime import addresses
from runwright.api.runtime import delivery_schemas as wire
from runwright.domain.accounts import Project
from runwright.errors import InvalidRequest
from runwright.governance.deliveries import Asked
from runwright.governance.delivery_items import Batch, Item
from runwright.governance.delivery_order import CommitOrder, DeliveryOrder, PullRequestOrder, Wanted

routes = Routes(tag="deliveries")
PLAIN = wire.DeliverRunRequest()
AWAY = {503: "The forge does not answer, for any of them (`FORGE_UNAVAILABLE`)"}


@addresses.post(
    routes,
    "/git/pr/checkpoints",
    scope="runs:write",
    answers=AWAY
    | {422: "Also: no runs, too many, or one twice (`EMPTY_RUN_IDS`, `TOO_MANY_RUN_IDS`, `DUPLICATE_RUN_IDS`)"},
    summary="Commit, push and open pull requests for what runs made",
)
async def deliver_runs(call: Call, body: wire.DeliverRunsRequest) -> wire.DeliveredRuns:
    """Deliver several runs; each has its own result. What people must allow first is told as `APPROVAL_MISSING`.

    The same call after that goes on; one that has come about changes nothing, and tells the same commit and request.
    """
    strange = [run_id for run_id in body.per_run if run_id not in body.run_ids]
    if strange:
        raise InvalidRequest.at("per_run", f"{strange[0]} is none of run_ids")
    runs = tuple((run_id, _wanted(body, body.per_run.get(run_id))) for run_id in body.run_ids)
    order = DeliveryOrder(runs=runs, on_error=body.on_error, dry_run=body.dry_run, ask_again=body.ask_again)
    return _runs_view(await call.services.deliveries.deliver(_asked(call), order))


@addresses.post(
    routes,
    "/{run_id}/git/pr",
    scope="runs:write",
    answers=AWAY,
    summary="Commit, push and open a pull request for what a run made",
)
async def deliver_run(call: Call, run_id: str, body: wire.DeliverRunRequest = PLAIN) -> wire.Delivered:
    """Deliver a run, as one of several is delivered."""
    await call.services.engine.reader(call.actor).run(run_id)
    order = DeliveryOrder(runs=((run_id, _wanted(body, None)),), dry_run=body.dry_run, ask_again=body.ask_again)
    return _view((await call.services.deliveries.deliver(_asked(call), order)).items[0])


def _asked(call: Call) -> Asked:
    async def project(ident: str) -> Project:
        return await call.services.tenants.resolve_project(call.actor, ident)

    return Asked(call.actor, project, call.request_id, call.trace_id)


def _wanted(body: wire.DeliverRunRequest, own: wire.ForRun | None) -> Wanted:
    own = own or wire.ForRun()
    commit, pr = own.commit or body.commit, own.pr or body.pr
    return Wanted(
        actions=own.actions or body.actions,
        commit=CommitOrder(
            message=commit.message, author=commit.author, signoff=commit.signoff, trailers=dict(commit.trailers)
        ),
        branch=(own.branch or body.branch).template,
        pull_request=PullRequestOrder(
            title=pr.title,
            body_template=pr.body_template,
            base=pr.base,
            draft=pr.draft,
            labels=pr.labels,
            reviewers=pr.reviewers,
        ),
        if_base_moved=body.if_base_moved,
    )


def _runs_view(batch: Batch) -> wire.DeliveredRuns:
    told = [item.status for item in batch.items]
    return wire.DeliveredRuns(
        batch_id=batch.batch_id,
        on_error=batch.on_error,
        dry_run=batch.dry_run,
        counts=wire.DeliveryCounts(
            succeeded=told.count("succeeded"), failed=told.count("failed"), skipped=told.count("skipped")
        ),
        results=[_view(item) for item in batch.items],
    )


def _view(item: Item) -> wire.Delivered:
    opened, error = item.pull_request, item.error
    return wire.Delivered(
        run_id=item.run_id,
        status=item.status,
        steps=[wire.DeliveryStep(action=each.action, status=each.status, detail=each.detail) for each in item.steps],
        delivery_run_id=item.delivery_run_id,
        commit_sha=item.commit_sha,
        branch=item.branch,
        pr=None
        if opened is None
        else wire.DeliveredPullRequest(
            provider=opened.provider, number=opened.number, url=opened.url, reused=opened.reused
        ),
        checkpoint_id=item.checkpoint_id,
        evidence_event_id=item.evidence_event_id,
        error=None
        if error is None
        else wire.DeliveryError(
            code=error.code, message=error.message, retryable=error.retryable, retry_after_s=error.retry_after_s
        ),
    )
