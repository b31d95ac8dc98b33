"""The loop of a delivery: see how far it has come, do the next thing, write down what came of it, and look again.

Whoever takes it after a lost worker does the same: the commit has the same digest, a branch that has it is left as it
is, and a pull request is looked for before one is opened.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from hashlib import sha256

import msgspec
from msgspec.structs import replace

from runwright.agents.notes import LAST, SNAPSHOT, Kept, Note, noted
from runwright.domain import delivery_events as d
from runwright.domain import next_delivery as m
from runwright.domain import outcome as o
from runwright.domain.commit_plan import Planned
from runwright.domain.course import Course
from runwright.domain.delivery_terms import Action, DeliveryTerms
from runwright.domain.git_objects import bundle, format_of, pack
from runwright.domain.orchestration import gate_status
from runwright.domain.redaction import RedactedText, Redactor
from runwright.domain.runtime_terms import RuntimeTerms
from runwright.domain.verdict import Stop
from runwright.engine.attempt import Attempt
from runwright.engine.packing import Saving
from runwright.engine.stoppable import Stoppable
from runwright.executors.delivery.building import Built, asks
from runwright.forges.port import Forge, Pushing, Refused, Wanted, push_branch
from runwright.telemetry import observe

BUNDLE = "bundle"


class Means(msgspec.Struct, frozen=True, kw_only=True):
    """What a deliverer works with, beside its attempt. `archive` reads the snapshot, of the delivery or of its run."""

    terms: RuntimeTerms
    redactor: Callable[[], Redactor]
    build: Callable[[Callable[[], Awaitable[bytes]]], Awaitable[Built]]
    archive: Callable[[], Awaitable[bytes]]
    forge: Callable[[], Awaitable[Forge]]
    ttl_s: int


class Deliverer:
    """Drives one attempt."""

    def __init__(self, attempt: Attempt, means: Means) -> None:
        self._attempt = attempt
        self._means = means
        self._run = attempt.run
        self._made: Built | None = None

    async def run(self) -> o.Outcome:
        """Go on until the delivery ends, waits for people, or is asked to stop."""
        return await Stoppable(self._attempt).run(self._moves(), name="deliverer")

    @property
    def _course(self) -> Course:
        assert self._run.course is not None
        return self._run.course

    @property
    def _terms(self) -> DeliveryTerms:
        assert self._means.terms.delivery is not None
        return self._means.terms.delivery

    async def _moves(self) -> o.Outcome:
        action: Action = "commit"
        while True:
            move = m.next_delivery(self._terms, self._course)
            try:
                match move:
                    case m.Prepare():
                        if await self._reaches():
                            await self._prepare()
                    case m.Ask():
                        return self._attempt.request_approval(
                            asks(self._means.terms, await self._built(), self._means.ttl_s)
                        )
                    case m.Act(action, checkpoint_id):
                        await self._act(action, checkpoint_id)
                    case m.Decline(why):
                        raise Refused("TOOL_FAILED", why, retryable=False)
                    case m.Finish(stop):
                        return self._finished(stop)
            except Refused as why:
                await self._refuse(action, why)

    def _finished(self, stop: Stop) -> o.Outcome:
        course = self._course
        came = course.delivery or d.DeliveryCourse()
        judged = gate_status(course, self._means.terms)
        result = {
            "stop": {"class": stop.stop_class, "code": stop.code, "detail": stop.detail},
            "delivery": msgspec.to_builtins(came),
        }
        observe("delivery.ended", code=stop.code, action=self._terms.actions[-1])
        return replace(self._attempt.completed(result), stop=stop, gate_status=judged)

    async def _save(self, notes: Sequence[Note], kept: Sequence[Kept] = ()) -> None:
        attempt = self._attempt
        self._run = await attempt.append(await attempt.pack([Saving(notes), Saving((), kept)]))

    async def _refuse(self, action: Action, why: Refused) -> None:
        data = d.Refused(
            action=action,
            code=why.code,
            message=self._text(str(why)),
            retryable=why.retryable,
            retry_after_s=why.retry_after_s,
        )
        await self._save([Note("delivery.refused", data, "warning")])

    def _text(self, text: str) -> RedactedText:
        return self._means.redactor().text(text)

    # --- what is done -------------------------------------------------------------------------------------------------

    async def _built(self) -> Built:
        """Return the commit, built once in each attempt. Raises `Refused` where it is not the one that was allowed."""
        if self._made is None:
            came = self._course.delivery
            told = None if came is None else came.prepared
            made = await self._means.build(self._means.archive if told is None else self._own)
            if told is not None and told.commit_sha != made.plan.commit:
                raise Refused("APPROVAL_SUBJECT_MISMATCH", "the commit is not the one that people were shown")
            self._made = made
        return self._made

    async def _own(self) -> bytes:
        return await self._attempt.stored_bytes(SNAPSHOT, LAST)

    async def _reaches(self) -> bool:
        """Tell whether there is a forge to push to, and what opens it; the log says why not, before people are asked.

        Nobody asks the forge for anything yet.
        """
        if "push" not in self._terms.actions:
            return True
        try:
            forge = await self._means.forge()
        except Refused as why:
            await self._refuse("push", why)
            return False
        await forge.close()
        return True

    async def _prepare(self) -> None:
        built, terms = await self._built(), self._terms
        archive = await self._means.archive()
        data = d.Prepared(
            commit_sha=built.plan.commit,
            tree_sha=built.plan.tree,
            base_sha=terms.base_sha,
            branch=terms.branch,
            changes=built.plan.counts(),
            kept=built.plan.kept,
            snapshot=terms.snapshot,
        )
        kept = Kept(SNAPSHOT, LAST, archive, noted(terms.snapshot.archive_sha256))
        await self._save([Note("delivery.prepared", data)], [kept])

    async def _act(self, action: Action, checkpoint_id: str) -> None:
        match action:
            case "commit":
                await self._commit(checkpoint_id)
            case "push":
                await self._push()
            case "open_pr":
                await self._open()

    async def _commit(self, checkpoint_id: str) -> None:
        plan, terms = (await self._built()).plan, self._terms
        packed, digest = await asyncio.to_thread(_bundled, plan, terms)
        data = d.Committed(
            commit_sha=plan.commit,
            tree_sha=plan.tree,
            base_sha=terms.base_sha,
            branch=terms.branch,
            repo=self._means.terms.repo or "",
            run_id=terms.run_id,
            checkpoint_id=checkpoint_id,
            bundle_sha256=digest,
            bundle_bytes=len(packed),
        )
        await self._save([Note("delivery.committed", data)], [Kept(BUNDLE, plan.commit, packed)])

    async def _push(self) -> None:
        plan, terms = (await self._built()).plan, self._terms
        stops = terms.if_base_moved == "stop"
        pushing = Pushing(plan.objects, format_of(terms.base_sha), terms.base, terms.base_sha, stops)
        forge = await self._means.forge()
        try:
            unchanged = await push_branch(forge, terms.branch, plan.commit, pushing)
        finally:
            await forge.close()
        data = d.Pushed(
            commit_sha=plan.commit,
            branch=terms.branch,
            repo=self._means.terms.repo or "",
            forge=forge.provider,
            unchanged=unchanged,
        )
        await self._save([Note("delivery.pushed", data)])

    async def _open(self) -> None:
        terms, came = self._terms, self._course.delivery
        asked = terms.pull_request
        assert asked is not None
        assert came is not None
        assert came.pushed is not None
        commit_sha = came.pushed.commit_sha
        forge = await self._means.forge()
        try:
            base = asked.base or terms.base or (await forge.remote.refs()).default
            if base is None:
                raise Refused(
                    "FORGE_ERROR", "the repository has no default branch; name one as pr.base", retryable=False
                )
            opened = await forge.open(
                Wanted(
                    branch=terms.branch,
                    commit_sha=commit_sha,
                    base=base,
                    title=asked.title,
                    body=asked.body,
                    draft=asked.draft,
                    if_no_drafts=asked.if_no_drafts,
                    labels=asked.labels,
                    reviewers=asked.reviewers,
                )
            )
        finally:
            await forge.close()
        data = d.PrOpened(
            provider=forge.provider,
            number=opened.number,
            url=opened.url,
            reused=opened.reused,
            commit_sha=commit_sha,
            branch=terms.branch,
            warning=None if opened.warning is None else self._text(opened.warning),
        )
        await self._save([Note("delivery.pr_opened", data)])


def _bundled(plan: Planned, terms: DeliveryTerms) -> tuple[bytes, str]:
    """Return the bundle of a commit, and its digest."""
    form = format_of(terms.base_sha)
    packed = bundle(plan.commit, terms.base_sha, terms.branch, pack(plan.objects, form), form)
    return packed, sha256(packed).hexdigest()
