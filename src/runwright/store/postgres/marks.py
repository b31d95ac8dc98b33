"""Low-water marks: where the ready runs of a lane begin, so that a claim does not step over those long gone.

What is deleted from `ready` stays in its index until no transaction can see it any more; while one transaction is held
open for a minute, a claim that looked from the lane's beginning would step over a minute's dead entries each time.

A mark is a hint of this process. It is raised after a committed claim and after a listing of lanes, and lowered by
whoever puts a run in before it: this process by itself, other processes by their hints. A hint may be lost and a claim
elsewhere rolled back, so every `net_s` seconds a lane is looked through from its beginning: nothing is hidden longer.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

import msgspec

from runwright.clock import Clock
from runwright.domain.lane import queue_of

NET_S = 5.0
LANES_MAX = 20_000
IDLE_S = 600.0
"""For how long a lane into which nothing is put is known."""
EARLIEST = -(2**63)


class Look(msgspec.Struct, frozen=True):
    """A look at a lane: the rank that it began at, whether at the lane's beginning, and how often it was lowered."""

    lane: str
    start: float
    lowered: int
    whole: bool


class _Mark(msgspec.Struct):
    rank: float = -math.inf
    highest: float = -math.inf
    heard_at_s: float = -math.inf
    looked_at_s: float = -math.inf
    lowered: int = 0


class Front:
    """Where timers begin, by the same means: those that fired are gone, and would be stepped over at each look.

    A timer that another process sets before the mark is that one's to fire; `NET_S` later it is found here, too.
    """

    def __init__(self, clock: Clock, *, net_s: float = NET_S) -> None:
        self._clock = clock
        self._net_s = net_s
        self._at = EARLIEST
        self._looked_at_s = -math.inf
        self._lowered = 0

    def look(self) -> tuple[int, int]:
        """Return from which instant on to look, and what `passed` wants to know of it."""
        if self._clock.monotonic() - self._looked_at_s >= self._net_s:
            self._looked_at_s = self._clock.monotonic()
            self._at = EARLIEST
        return self._at, self._lowered

    def passed(self, lowered: int, at: int) -> None:
        """Raise the mark to the instant that a look came to; not when a timer was set meanwhile."""
        if lowered == self._lowered:
            self._at = max(self._at, at)

    def lower(self, at: int) -> None:
        """Hear that a timer was set for this instant."""
        self._lowered += 1
        self._at = min(self._at, at)


class Marks:
    """The marks of the lanes that this process knows. `entries` counts how often something was put into one."""

    def __init__(self, clock: Clock, *, net_s: float = NET_S) -> None:
        self._clock = clock
        self._net_s = net_s
        self._marks: dict[str, dict[str, _Mark]] = {}
        self._count = 0
        self._lanes: dict[str, dict[str, int]] = {}
        self.entries = 0
        self.timers = Front(clock, net_s=net_s)
        self._listed_at_s: dict[str, float] = {}

    def look(self, lane: str) -> Look:
        """Return where to look for the lane's first ready run."""
        mark = self._mark(lane)
        if self._clock.monotonic() - mark.looked_at_s >= self._net_s:
            return Look(lane, -math.inf, mark.lowered, whole=True)
        return Look(lane, mark.rank, mark.lowered, whole=False)

    def looks(self, prefix: str) -> list[Look]:
        """Return where to look in each lane that is known and begins so, in their order."""
        lanes = sorted(lane for queue in _beginning(self._marks, prefix) for lane in self._marks[queue])
        return [self.look(lane) for lane in lanes]

    def passed(self, look: Look, rank: float | None) -> None:
        """Move the mark to the rank that a look which is committed came to; None when it found no run.

        Not when the mark was lowered meanwhile: the look may have come too early for the run that it was lowered for.
        """
        mark = self._mark(look.lane)
        if mark.lowered != look.lowered:
            return
        if look.whole:
            mark.looked_at_s = self._clock.monotonic()
        if rank is not None and (look.whole or rank > mark.rank):
            mark.lowered += rank < mark.rank  # looks that began behind it did not see what this one found
            mark.rank = rank

    def seen(self, looks: Iterable[Look], ranks: Mapping[str, float]) -> None:
        """Move the marks of the lanes that were looked at, and of others that were met, to the first ranks there.

        Where a reader found nothing there is nothing; a claim passes over what another transaction has locked.
        """
        met = dict(ranks)
        for look in looks:
            mark = self._mark(look.lane)
            self.passed(look, met.pop(look.lane, max(mark.rank, mark.highest)))
        for lane, rank in met.items():
            self.passed(Look(lane, -math.inf, 0, whole=True), rank)
        for lane in ranks:
            known = self._lanes.setdefault(queue_of(lane), {})
            if lane not in known:
                self.entries += 1  # so that a listing under way, which may not have seen it, keeps it
                known[lane] = self.entries
        self._forget_idle(look for look in looks if look.whole and look.lane not in ranks)

    def lower(self, ranks: Mapping[str, float]) -> None:
        """Lower marks to the ranks at which runs were put into these lanes."""
        self.entries += 1
        for lane, rank in ranks.items():
            mark = self._mark(lane)
            self._lanes.setdefault(queue_of(lane), {})[lane] = self.entries
            mark.lowered += 1
            mark.rank = min(mark.rank, rank)
            mark.highest = max(mark.highest, rank)
            mark.heard_at_s = self._clock.monotonic()

    def start(self, lane: str) -> float:
        """Return the lane's mark, for who may miss a run: the order of the queue is all that suffers."""
        return self._mark(lane).rank

    def lanes(self, prefix: str) -> list[str] | None:
        """Return the lanes beginning so in which something was ready; None when it is time to list them anew."""
        if self._clock.monotonic() - self._listed_at_s.get(prefix, -math.inf) >= self._net_s:
            return None
        return [lane for queue in _beginning(self._lanes, prefix) for lane in self._lanes[queue]]

    def listed(self, prefix: str, lanes: Iterable[str], since: int) -> None:
        """Keep the lanes beginning so as they were listed just now, and those entered `since` the listing began."""
        self._listed_at_s[prefix] = self._clock.monotonic()
        for queue in _beginning(self._lanes, prefix):
            entered = {lane: entry for lane, entry in self._lanes.pop(queue).items() if entry > since}
            if entered:
                self._lanes[queue] = entered
        for lane in lanes:
            self._lanes.setdefault(queue_of(lane), {}).setdefault(lane, 0)

    def _forget_idle(self, empty: Iterable[Look]) -> None:
        """Forget the lanes that are empty and that nothing was put into for long: a walk finds them when it is."""
        for look in empty:
            queue = queue_of(look.lane)
            lanes = self._marks.get(queue, {})
            mark = lanes.get(look.lane)
            if mark is not None and self._clock.monotonic() - mark.heard_at_s >= IDLE_S:
                del lanes[look.lane]
                self._count -= 1
                if not lanes:
                    del self._marks[queue]

    def _mark(self, lane: str) -> _Mark:
        queue = queue_of(lane)
        mark = self._marks.get(queue, {}).get(lane)
        if mark is None:
            if self._count >= LANES_MAX:
                self._marks.clear()
                self._lanes.clear()
                self._listed_at_s.clear()
                self._count = 0
            mark = self._marks.setdefault(queue, {})[lane] = _Mark(heard_at_s=self._clock.monotonic())
            self._count += 1
        return mark


def _beginning(queues: Mapping[str, object], prefix: str) -> list[str]:
    """Return those of the queues that begin so."""
    return [prefix] if prefix in queues else [queue for queue in queues if queue.startswith(prefix)]
