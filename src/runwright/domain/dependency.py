"""What runs of one job may need of the runs of another, and whether they have it: pure rules.

A dependency looks at one run: of those that have ended, the newest of the other job, and of those with the same key if
the waiting run has one. So a replay outweighs what it replays.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.domain.instants import SECOND_US
from runwright.domain.outcome import Failed
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Spec, State

Condition = Literal["completed", "failed", "any"]
"""How the run must have ended; a run that expired has failed, one that was cancelled has only ended (`any`)."""
OnMiss = Literal["wait", "fail", "skip"]
"""What becomes of a run that waits when the other ends otherwise: it goes on waiting, fails, or is cancelled."""

KEY = "dependency_key"
"""Where a run says which of the other job's runs it belongs to: in its metadata, or in its payload."""
KEY_MAX = 1024

MaxAge = Annotated[
    int,
    Meta(ge=1, le=366 * 86_400, description="Most seconds between that run's end and the moment this one may start."),
]
TimeLimit = Annotated[
    int, Meta(ge=1, le=366 * 86_400, description="Seconds of waiting, after which the run fails; null: for ever.")
]

_MEETS: dict[Condition, frozenset[str]] = {
    "completed": frozenset({"completed"}),
    "failed": frozenset({"failed", "expired"}),
    "any": frozenset({"completed", "failed", "expired", "cancelled"}),
}


class Dependency(msgspec.Struct, frozen=True, kw_only=True):
    """Runs of `job_id` begin when a run of `depends_on_job_id` has ended as `condition` says."""

    dependency_id: str
    org_id: str
    project_id: str
    job_id: str
    depends_on_job_id: str
    condition: Condition = "completed"
    on_miss: OnMiss = "wait"
    max_age_secs: int | None = None
    timeout_secs: int | None = None
    created_at: int
    created_by: str


class Ended(msgspec.Struct, frozen=True):
    """The newest run that has ended and that a dependency looks at."""

    run_id: str
    state: State
    finished_at: int


class Verdict(msgspec.Struct, frozen=True):
    """What a dependency says of a run: `met` by the run that it looked at, `missed`, or still `open`, and why."""

    dependency: Dependency
    standing: Literal["met", "open", "missed"]
    run_id: str | None
    why: str | None


def dependency_key(metadata: Mapping[str, str], payload: Any) -> str | None:
    """Return the key by which a run finds the runs that it depends on, and is found by those that depend on it."""
    key = metadata.get(KEY) or (payload.get(KEY) if isinstance(payload, dict) else None)
    return key if isinstance(key, str) and 0 < len(key) <= KEY_MAX else None


def ready_at(spec: Spec, amended_at: int | None = None) -> int:
    """Return the moment from which the run may start, as far as time goes: ages are reckoned from it.

    `amended_at`: what it was rescheduled to.
    """
    return max(spec.created_at, spec.scheduled_at or 0) if amended_at is None else amended_at


def judge(dependency: Dependency, ended: Ended | None, at: int) -> Verdict:
    """Tell whether the run that a dependency looked at is what a run needs that may start from `at` on.

    One that ended otherwise before that is no miss: the run that is waited for may be still to come.
    """
    if ended is None:
        return Verdict(dependency, "open", None, "no run of that job has ended yet")
    if dependency.max_age_secs is not None and ended.finished_at < at - dependency.max_age_secs * SECOND_US:
        why = f"the newest run that ended did so more than {dependency.max_age_secs} s before"
        return Verdict(dependency, "open", ended.run_id, why)
    if ended.state in _MEETS[dependency.condition]:
        return Verdict(dependency, "met", ended.run_id, None)
    why = f"the newest run that ended is {ended.state}, not {dependency.condition}"
    return Verdict(dependency, "open" if ended.finished_at < at else "missed", ended.run_id, why)


def outcome(verdicts: Iterable[Verdict]) -> tuple[Literal["met", "wait", "fail", "skip"], Verdict | None]:
    """Return what becomes of a run that waits, and the verdict that decides it; a failure outweighs a skip."""
    given = list(verdicts)
    missed = [verdict for verdict in given if verdict.standing == "missed" and verdict.dependency.on_miss != "wait"]
    if missed:
        first = min(missed, key=lambda verdict: verdict.dependency.on_miss)
        return ("fail" if first.dependency.on_miss == "fail" else "skip"), first
    waits = next((verdict for verdict in given if verdict.standing != "met"), None)
    return ("met", given[-1] if given else None) if waits is None else ("wait", waits)


def failure(verdict: Verdict) -> Failed:
    """Return how a run ends that fails because a dependency was missed."""
    message = RedactedText(f"a dependency failed: {verdict.why} ({verdict.run_id})")
    return Failed(
        error_class="DependencyFailed",
        message=message,
        retryable=False,
        reason="rejected",
        code="runs.dependency_failed",
    )


def limit_s(dependencies: Iterable[Dependency]) -> int | None:
    """Return how many seconds a run waits at most; None for one that may wait for ever."""
    return min((d.timeout_secs for d in dependencies if d.timeout_secs is not None), default=None)


def cycle(needs: Mapping[str, Iterable[str]], job_id: str, depends_on_job_id: str) -> list[str] | None:
    """Return the jobs of the circle that a new dependency would close, first and last the same; None for none."""
    came: dict[str, str] = {depends_on_job_id: job_id}
    reached = [depends_on_job_id]
    while reached:
        job = reached.pop()
        if job == job_id:
            path = [job_id]
            while len(path) == 1 or path[-1] != job_id:
                path.append(came[path[-1]])
            return path[::-1]
        for needed in needs.get(job, ()):
            if needed not in came:
                came[needed] = job
                reached.append(needed)
    return None
