"""What the log of a remediation loop says of its course: a fold, so that any worker goes on where another ended."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeVar

import msgspec
from msgspec.structs import replace

from runwright.domain import agent_events as a
from runwright.domain import approval as ap
from runwright.domain import loop_events as e
from runwright.domain import runtime_events as r
from runwright.domain.course import Course
from runwright.domain.loop_course import KEPT, Iteration, LoopCourse, OpenIteration, tried_as
from runwright.domain.verdict import GateStanding, Stop, Tried

Told = TypeVar("Told")
Follow = Callable[[LoopCourse, bytes, int], LoopCourse]
OWN: frozenset[str] = frozenset({"tool.call", "tool.result", "gate.result"})
"""The types that say something else of a loop than of other runtime runs: they belong to the look under way."""


def follow(course: Course, type_: str, data: bytes, at: int) -> Course:
    """Return the course of a loop after an event: its own part, the gates and the snapshot of the tree that is kept."""
    step, loop = _STEPS.get(type_), course.loop
    if loop is not None and type_ in _ENDS and course.stop is not None:
        return replace(course, loop=broken_off(loop, course.stop, at))
    if step is None or loop is None:
        return course
    after = step(loop, data, at)
    if type_ == "tool.call" and after is not loop:
        course = replace(course, tool_calls=course.tool_calls + 1)
    if type_ in _SNAPSHOTS:
        kept = _read(data, _SNAPSHOTS[type_]).snapshot
        course = course if kept is None else replace(course, snapshot=kept)
    return replace(course, loop=after, gates=after.gates)


def _begun(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, e.LoopStarted)
    return replace(loop, begun=True, terms=told.terms, budget=told.budget, tree_hash=told.tree_hash)


def _surveyed(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, e.LoopSurveyed)
    return _looked(replace(loop, standing=told.standing, start=told.standing, gates=loop.seen))


def _looked(loop: LoopCourse) -> LoopCourse:
    return replace(loop, calls=(), answers={}, seen=(), seen_tree="")


def _passed(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, e.FixerPassed)
    return replace(loop, tried={**loop.tried, tried_as(told.fixer, told.batch): 0}, calls=(), answers={})


def _iterates(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, e.IterationStarted)
    opened = OpenIteration(
        n=told.n, at=at, patcher=told.patcher, batch=told.batch, targeted=told.targeted, owners=told.owners
    )
    return _looked(replace(loop, open=opened, count=told.n))


def _proposed(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, e.PatchProposed)
    return _opened(loop, patch=told.patch, paths=tuple(told.paths), owned=tuple(told.owned))


def _refused(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    was = () if loop.open is None else loop.open.refused
    return _opened(loop, refused=(*was, _read(data, e.PatchRefused).guard))


def _asked(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    return _opened(loop, checkpoint_id=_read(data, ap.Requested).checkpoint_id)


def _decided(word: str) -> Follow:
    """What is decided between iterations is the plan."""
    return lambda loop, data, at: replace(loop, plan=word) if loop.open is None else _opened(loop, decided=word)


def _opened(loop: LoopCourse, **now: object) -> LoopCourse:
    return loop if loop.open is None else replace(loop, open=replace(loop.open, **now))


def _called(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    ident = _read(data, a.ToolCall).tool_call_id
    return loop if ident in loop.calls else replace(loop, calls=(*loop.calls, ident))


def _answered(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, a.ToolResult)
    said = told.result if isinstance(told.result, dict) and "status" in told.result else None
    tried = None if said is None else msgspec.convert({**said, "duration_ms": told.duration_ms}, Tried)
    return replace(loop, answers={**loop.answers, told.tool_call_id: tried})


def _judged(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, r.GateJudged)
    tree = told.tree_hash or ""
    others = tuple(gate for gate in loop.seen if gate.gate_id != told.gate_id and loop.seen_tree == tree)
    gate = GateStanding(told.gate_id, told.name, told.status, told.required, told.detail, coverage=told.coverage)
    return replace(loop, seen=(*others, gate), seen_tree=tree)


def _ended(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told, was = _read(data, e.IterationEnded), loop.open
    if was is None:
        return loop
    done = Iteration(
        n=told.n,
        began_at=was.at,
        ended_at=at,
        patcher=was.patcher,
        targeted=was.targeted,
        owners=was.owners,
        outcome=told.outcome,
        why=told.why,
        tree_hash=told.tree_hash,
        gates=told.gates,
        patch=was.patch,
        refused=was.refused,
        new_findings=told.new_findings,
        fixed_findings=told.fixed_findings,
        checkpoint_id=was.checkpoint_id,
    )
    failed = loop.model_failed or told.model_failed
    loop = replace(loop, open=None, iterations=(*loop.iterations, done)[-KEPT:], model_failed=failed)
    if told.standing is not None:
        kept = replace(loop, standing=told.standing, gates=loop.seen, tree_hash=told.tree_hash, idle=0, tried={})
        changed, ownerless = (*loop.changed, *was.paths), (*loop.ownerless, *was.ownerless)
        return _looked(replace(kept, changed=_once(changed), ownerless=_once(ownerless)))
    key = tried_as(was.patcher, was.batch)
    return _looked(replace(loop, idle=loop.idle + 1, tried={**loop.tried, key: loop.tried.get(key, 0) + 1}))


def _once(paths: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(paths))


def _stopped(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    told = _read(data, e.LoopStopped)
    return replace(loop, stop=Stop(told.stop_code, told.detail or ""))


def broken_off(loop: LoopCourse, stop: Stop, at: int) -> LoopCourse:
    """Return the loop of a run that has ended: an iteration that was under way came to nothing."""
    was = loop.open
    if was is not None:
        done = Iteration(
            n=was.n,
            began_at=was.at,
            ended_at=at,
            patcher=was.patcher,
            targeted=was.targeted,
            owners=was.owners,
            outcome="blocked",
            why="the loop ended",
            tree_hash=loop.tree_hash,
            patch=was.patch,
            refused=was.refused,
            checkpoint_id=was.checkpoint_id,
        )
        loop = replace(loop, open=None, iterations=(*loop.iterations, done)[-KEPT:])
    return replace(loop, stop=stop)


def _unverified(loop: LoopCourse, data: bytes, at: int) -> LoopCourse:
    return replace(loop, unverified=loop.unverified + 1)


def _read(data: bytes, shape: type[Told]) -> Told:
    return msgspec.json.decode(data, type=shape)


_ENDS = frozenset({"run.completed", "run.failed", "run.cancelled"})
_SNAPSHOTS: dict[str, type[e.LoopStarted] | type[e.IterationEnded]] = {
    "loop.started": e.LoopStarted,
    "iteration.completed": e.IterationEnded,
}
_STEPS: dict[str, Follow] = {
    "loop.started": _begun,
    "loop.surveyed": _surveyed,
    "fixer.passed": _passed,
    "iteration.started": _iterates,
    "patch.proposed": _proposed,
    "patch.refused": _refused,
    "iteration.completed": _ended,
    "loop.stopped": _stopped,
    "approval.requested": _asked,
    **{f"approval.{word}": _decided(word) for word in ("approved", "denied", "expired", "superseded")},
    "tool.call": _called,
    "tool.result": _answered,
    "gate.result": _judged,
    "usage.unverified": _unverified,
}
"""Type → what it says of the loop."""
