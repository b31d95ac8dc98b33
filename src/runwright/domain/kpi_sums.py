"""Facts of ended runs, added up: by hour, day and 32 days, of an organization or a project, whole or by one label.

Sums merge, so a window is the sum of the widest pieces that it is made of, and equals a recount of its facts exactly.
A length of time, a cost and a count are kept within half a percent: each value with how often it was there, so that
medians and other quantiles are those of the rounded values, exactly. Sums of money and counts are not rounded.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from math import ceil
from operator import attrgetter

import msgspec

from runwright.domain.histogram import Lanes, histogram_of
from runwright.domain.instants import DAY_US, HOUR_US
from runwright.domain.kpi_facts import Fact
from runwright.domain.kpi_metrics import RATES, SPREADS
from runwright.domain.rollups import Born

WHOLE = ""
"""Stands for the project of an organization's total, and for the label of what is not grouped."""
WIDTHS: dict[str, int] = {"block": 32 * DAY_US, "day": DAY_US, "hour": HOUR_US}
"""The grains, widest first; each begins at a multiple of its width since the epoch, and holds whole finer ones."""
DIMENSIONS = ("kind", "mode", "repo", "model")
"""What runs are grouped by; a run without one is in no group of it."""
_labels = attrgetter(*DIMENSIONS)


class Spread(msgspec.Struct):
    """Values: what they add up to, and the `histogram` of what they are `rounded` to."""

    total: int = 0
    histogram: int = 0

    @property
    def n(self) -> int:
        """Return how many values there are."""
        return Lanes(self.histogram).n

    def take(self, values: Sequence[int]) -> None:
        """Add values."""
        self.total += sum(values)
        self.histogram += histogram_of(values)

    def merge(self, other: Spread) -> None:
        """Add the values of another."""
        self.total += other.total
        self.histogram += other.histogram

    def quantile(self, share: float) -> int | None:
        """Return the smallest value that `share` of all do not exceed; None without any."""
        lanes = Lanes(self.histogram)
        return lanes.at(rank_of(share, lanes.n))[0] if lanes.n else None


def rank_of(share: float, n: int) -> int:
    """Return the rank of the smallest of `n` values that `share` of them do not exceed."""
    return max(ceil(share * n), 1)


class Rate(msgspec.Struct, array_like=True):
    """How many of how many."""

    hits: int = 0
    of: int = 0


class Sums(msgspec.Struct, omit_defaults=True):
    """Ends of runs, added up; `born` counts those that were made."""

    ended: int = 0
    born: int = 0
    rates: dict[str, Rate] = {}
    spreads: dict[str, Spread] = {}

    def take(self, facts: Sequence[Fact]) -> None:
        """Add ended runs."""
        self.ended += len(facts)
        every = [fact.facts for fact in facts]
        telling = [each for each in every if not each.plain]
        for rate in RATES:
            counts = [rate.counts(each) for each in (every if rate.of_plain else telling)]
            if of := sum(each[1] for each in counts):
                kept = self.rates.setdefault(rate.id, Rate())
                kept.hits += sum(each[0] for each in counts if each[1])
                kept.of += of
        for spread in SPREADS:
            asked = every if spread.of_plain else telling
            if values := [value for each in asked for value in spread.values(each)]:
                self.spreads.setdefault(spread.id, Spread()).take(values)

    def merge(self, other: Sums) -> None:
        """Add other sums."""
        self.ended += other.ended
        self.born += other.born
        for name, rate in other.rates.items():
            kept = self.rates.setdefault(name, Rate())
            kept.hits += rate.hits
            kept.of += rate.of
        for name, spread in other.spreads.items():
            self.spreads.setdefault(name, Spread()).merge(spread)

    def rate(self, name: str) -> Rate:
        """Return one of its rates; nothing of nothing, where there is none."""
        return self.rates.get(name) or Rate()

    def spread(self, name: str) -> Spread:
        """Return one of its spreads; without values, where there is none."""
        return self.spreads.get(name) or Spread()


class Place(msgspec.Struct, frozen=True):
    """Where sums are kept: whose they are, of which group, and of which piece of time, which begins `at`."""

    org_id: str
    project_id: str
    dimension: str
    label: str
    grain: str
    at: int


class Piece(msgspec.Struct, frozen=True):
    """Whole pieces of time of one grain, from the one that begins at `since` to that which ends at `until`."""

    grain: str
    since: int
    until: int


def fold(facts: Iterable[Fact], born: Iterable[Born] = ()) -> dict[Place, Sums]:
    """Add up ended runs, in every place that each of them counts in, and those that were made."""
    # Each is taken once, in its hour, with those that have all its labels; groups, the wider pieces of time and the
    # organizations are sums of those.
    together: dict[tuple[str, str, int, tuple[str | None, ...]], list[Fact]] = {}
    for fact in facts:
        together.setdefault((fact.org_id, fact.project_id, fact.hour_at, _labels(fact)), []).append(fact)
    narrow: dict[tuple[str, str, str, str, int], Sums] = {}
    for (org_id, project_id, hour_at, labels), ended in together.items():
        alike = Sums()
        alike.take(ended)
        for dimension, label in ((WHOLE, WHOLE), *zip(DIMENSIONS, labels, strict=True)):
            if label is not None:
                narrow.setdefault((org_id, project_id, dimension, label, hour_at), Sums()).merge(alike)
    for birth in born:
        key = (birth.org_id, birth.project_id, WHOLE, WHOLE, birth.hour_at)
        narrow.setdefault(key, Sums()).born += birth.count
    found: dict[Place, Sums] = {}
    for key, sums in narrow.items():
        for place in _places(*key):
            found.setdefault(place, Sums()).merge(sums)
    return found


def _places(org_id: str, project_id: str, dimension: str, label: str, hour_at: int) -> Iterator[Place]:
    for grain, width_us in WIDTHS.items():
        for project in (WHOLE, project_id):
            yield Place(org_id, project, dimension, label, grain, hour_at - hour_at % width_us)


def pieces(since: int, until: int, grains: Sequence[str] = tuple(WIDTHS)) -> list[Piece]:
    """Return what a time between two whole hours is made of, in the fewest pieces; in their order."""
    if since >= until:
        return []
    grain, *finer = grains
    width_us = WIDTHS[grain]
    first, last = -(-since // width_us) * width_us, until // width_us * width_us
    if first >= last:
        return pieces(since, until, finer)
    return [*pieces(since, first, finer), Piece(grain, first, last), *pieces(last, until, finer)]
