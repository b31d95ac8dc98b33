"""What became of runs, in numbers that add up: ends, latencies and depths by project, job, minute and hour.

A commit tells the moves of its runs in one compact record (`moves`), in its own transaction. Whoever folds the records
adds each to the `Rollup`s of its buckets; rollups merge, so an hour is the sum of its minutes and an organization that
of its projects. Latencies are kept in buckets that grow by 2^(1/8): a quantile is right within 5 %.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from math import ceil, log2

import msgspec

from runwright.domain.instants import HOUR_US, MINUTE_US
from runwright.domain.run import Run

TOPIC = "rollups"
GRAINS: dict[str, int] = {"minute": MINUTE_US, "hour": HOUR_US}
WHOLE = ""
"""Stands for the project of an organization's total, and for the job of a project's total."""

_STEPS = 8  # buckets an octave

Histogram = dict[int, int]
"""Bucket → how many; a bucket is the whole part of 8 × log2 of the microseconds, plus 1."""


class End(msgspec.Struct, frozen=True, array_like=True):
    """A run that ended: whose it was, how, and how long each part of its life took.

    `seq` is that of its last event; `hooked` says that its job has a webhook of its own; `model` stands behind its
    provider; `unpriced` counts its calls of models whose cost is not known.
    """

    org_id: str
    project_id: str
    job_id: str | None
    at: int
    state: str
    reason: str | None
    retries: int
    dead_lettered: bool
    queued_us: int
    active_us: int
    total_us: int
    cost_microusd: int = 0
    run_id: str = ""
    seq: int = 0
    hooked: bool = False
    kind: str = "job"
    mode: str | None = None
    repo: str | None = None
    model: str | None = None
    tokens: int = 0
    unpriced: int = 0
    recoveries: int = 0
    replay_of: str | None = None


class Born(msgspec.Struct, frozen=True, array_like=True):
    """How many runs of a project were made in an hour, which begins at `hour_at`."""

    org_id: str
    project_id: str
    hour_at: int
    count: int


class Step(msgspec.Struct, frozen=True, array_like=True):
    """An event that tells where a run stands before its end, with the word that it shows after it."""

    project_id: str
    org_id: str
    run_id: str
    seq: int
    type: str
    status: str
    attempt: int


class Shift(msgspec.Struct, frozen=True, array_like=True):
    """By how many the runs of a project in a live state grew."""

    org_id: str
    project_id: str
    state: str
    by: int


class Moves(msgspec.Struct, frozen=True, array_like=True):
    """What one transaction did to its runs."""

    ends: list[End]
    shifts: list[Shift]
    steps: list[Step] = []
    born: list[Born] = []


class Rollup(msgspec.Struct, omit_defaults=True):
    """Ends of runs, added up. `ends` counts them by `state` or `state:reason`."""

    ends: dict[str, int] = {}
    retries: int = 0
    dead_lettered: int = 0
    cost_microusd: int = 0
    queued: Histogram = {}
    active: Histogram = {}
    total: Histogram = {}

    @property
    def ended(self) -> int:
        """Return how many runs ended."""
        return sum(self.ends.values())

    def count(self, state: str) -> int:
        """Return how many runs ended in a state, for whatever reason."""
        return sum(count for name, count in self.ends.items() if name.partition(":")[0] == state)

    def take(self, end: End) -> None:
        """Add a run that ended."""
        name = f"{end.state}:{end.reason}" if end.reason is not None else end.state
        self.ends[name] = self.ends.get(name, 0) + 1
        self.retries += end.retries
        self.dead_lettered += end.dead_lettered
        self.cost_microusd += end.cost_microusd
        for histogram, us in ((self.queued, end.queued_us), (self.active, end.active_us), (self.total, end.total_us)):
            place = bucket(us)
            histogram[place] = histogram.get(place, 0) + 1

    def merge(self, other: Rollup) -> None:
        """Add another rollup."""
        self.retries += other.retries
        self.dead_lettered += other.dead_lettered
        self.cost_microusd += other.cost_microusd
        for name, count in other.ends.items():
            self.ends[name] = self.ends.get(name, 0) + count
        for mine, theirs in ((self.queued, other.queued), (self.active, other.active), (self.total, other.total)):
            for place, count in theirs.items():
                mine[place] = mine.get(place, 0) + count


class Place(msgspec.Struct, frozen=True):
    """Where an end is added: a total of the organization or project, or a job, in a bucket that begins `at`."""

    org_id: str
    project_id: str
    job_id: str
    grain: str
    at: int


_encode = msgspec.json.Encoder().encode
_moves = msgspec.json.Decoder(Moves).decode


def moves(changed: Iterable[tuple[Run | None, Run]], steps: list[Step] | None = None) -> bytes:
    """Return the record of runs that changed their state, each before (None: it is new) and after.

    `steps` are what somebody wants to be told of besides.
    """
    ends: list[End] = []
    shifts: dict[tuple[str, str, str], int] = {}
    born: dict[tuple[str, str, int], int] = {}
    for old, new in changed:
        spec = new.spec
        if old is None:
            made = (spec.org_id, spec.project_id, spec.created_at - spec.created_at % HOUR_US)
            born[made] = born.get(made, 0) + 1
        else:
            left = (spec.org_id, spec.project_id, old.state)
            shifts[left] = shifts.get(left, 0) - 1
        if not new.terminal:
            entered = (spec.org_id, spec.project_id, new.state)
            shifts[entered] = shifts.get(entered, 0) + 1
            continue
        ends.append(_end(new))
    shifted = [Shift(*place, by) for place, by in shifts.items() if by]
    return _encode(Moves(ends, shifted, steps or [], [Born(*place, count) for place, count in born.items()]))


def _end(run: Run) -> End:
    spec, at = run.spec, run.finished_at or run.at
    runtime, speaks = spec.runtime, spec.speaks
    return End(
        spec.org_id,
        spec.project_id,
        spec.job_id,
        at,
        run.state,
        run.reason,
        max(run.attempt - 1, 0),
        run.dead_lettered_at is not None,
        run.queued_us,
        run.active_us,
        max(at - spec.created_at, 0),
        run.usage.cost_microusd,
        run.run_id,
        run.seq,
        spec.webhook,
        kind=spec.kind,
        mode=None if runtime is None else runtime.mode,
        repo=None if runtime is None else runtime.repo,
        model=None if speaks is None else f"{speaks.provider}/{speaks.model}",
        tokens=run.usage.input_tokens + run.usage.output_tokens,
        unpriced=run.usage.unpriced,
        recoveries=run.tally.recoveries,
        replay_of=spec.replay_of,
    )


def read(record: bytes) -> Moves:
    """Return what `moves` wrote."""
    return _moves(record)


def fold(ends: Iterable[End]) -> dict[Place, Rollup]:
    """Add up ends, in every place that each of them counts in."""
    # Each end is taken once, in its narrowest place; the wider ones are sums: a busy server has thousands a second.
    narrow: dict[tuple[str, str, str | None, int], Rollup] = {}
    for end in ends:
        key = (end.org_id, end.project_id, end.job_id, end.at - end.at % MINUTE_US)
        rollup = narrow.get(key)
        if rollup is None:
            rollup = narrow[key] = Rollup()
        rollup.take(end)
    found: dict[Place, Rollup] = {}
    for key, rollup in narrow.items():
        for place in _places(*key):
            found.setdefault(place, Rollup()).merge(rollup)
    return found


def _places(org_id: str, project_id: str, job_id: str | None, minute_at: int) -> Iterator[Place]:
    for grain, width_us in GRAINS.items():
        at = minute_at - minute_at % width_us
        yield Place(org_id, WHOLE, WHOLE, grain, at)
        yield Place(org_id, project_id, WHOLE, grain, at)
        if job_id is not None:
            yield Place(org_id, project_id, job_id, grain, at)


def bucket(us: int) -> int:
    """Return the bucket of a length of time."""
    return int(_STEPS * log2(us)) + 1 if us > 0 else 0


def quantile_us(histogram: Histogram, share: float) -> int | None:
    """Return the length of time that `share` of those counted did not exceed, within 5 %; None for no counts."""
    rank = ceil(share * sum(histogram.values()))
    for place in sorted(histogram):
        rank -= histogram[place]
        if rank <= 0:
            return round(2 ** ((place - 0.5) / _STEPS)) if place else 0
    return None
