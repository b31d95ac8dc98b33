"""Histograms that are added up fast: how often each value was there, rounded within half a percent, as one integer.

A rounded value has a place, and a histogram is an integer with 64 bits for each place (a lane). So to merge two is one
addition, however many values they hold: those of a year are merged in milliseconds, and exactly.
"""

from __future__ import annotations

import sys
from array import array
from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import accumulate

LANE_BITS = 64
_LANE_BYTES = LANE_BITS // 8
_EXACT = 1000
_DECADE = 350


def place_of(value: int) -> int:
    """Return the place of a value; what is below zero has that of zero.

    Values below 1000 are as they are. Of the first three digits of larger ones, half up, 100 to 199 go in steps of 1,
    to 499 of 2, to 999 of 5: what people write is as they wrote it, and a decade has 350 places.
    """
    if value < _EXACT:
        return max(value, 0)
    decades = len(str(value)) - 4
    unit: int = 10 ** (decades + 1)
    if value < 200 * unit:
        within = (value + unit // 2) // unit - 100
    elif value < 500 * unit:
        within = (value + unit) // (2 * unit)
    else:
        within = (value + 5 * unit // 2) // (5 * unit) + 150
    return _EXACT + _DECADE * decades + within  # what is rounded up to the next step, or decade, has the place behind


def value_at(place: int) -> int:
    """Return the rounded value that has a place."""
    if place < _EXACT:
        return place
    decades, within = divmod(place - _EXACT, _DECADE)
    if within < 100:
        digits = 100 + within
    elif within < 250:
        digits = 200 + (within - 100) * 2
    else:
        digits = 500 + (within - 250) * 5
    value: int = digits * 10 ** (decades + 1)
    return value


def histogram_of(values: Iterable[int]) -> int:
    """Return the histogram of values."""
    places = [place_of(value) for value in values]
    if not places:
        return 0
    first = min(places)
    counts = array("Q", bytes(_LANE_BYTES * (max(places) - first + 1)))
    for place in places:
        counts[place - first] += 1
    return unpacked(first, _little(counts).tobytes())


class Lanes:
    """The lanes of a histogram, from that of its smallest value to that of its largest."""

    def __init__(self, histogram: int) -> None:
        self._first, lanes = packed(histogram)
        self._counts = _little(array("Q", lanes))
        self.n = sum(self._counts)
        """How many values there are."""

    def at(self, *ranks: int) -> list[int]:
        """Return the values of ranks from 1 to `n`, smallest first."""
        through = list(accumulate(self._counts))
        return [value_at(self._first + bisect_left(through, rank)) for rank in ranks]

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield each value with how often it was there, smallest first."""
        return ((value_at(place), count) for place, count in enumerate(self._counts, self._first) if count)


def packed(histogram: int) -> tuple[int, bytes]:
    """Return a histogram without the empty lanes around it: the place of its first lane, and the bytes of its lanes."""
    first = ((histogram & -histogram).bit_length() - 1) // LANE_BITS if histogram else 0
    trimmed = histogram >> LANE_BITS * first
    return first, trimmed.to_bytes(-(-trimmed.bit_length() // LANE_BITS) * _LANE_BYTES, "little")


def unpacked(first: int, lanes: bytes) -> int:
    """Return the histogram that was `packed`."""
    return int.from_bytes(lanes, "little") << LANE_BITS * first


def _little(counts: array[int]) -> array[int]:
    """Return counts whose bytes are in the order of integers here, or the other way round."""
    if sys.byteorder == "big":
        counts.byteswap()
    return counts
