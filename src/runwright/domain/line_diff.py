"""Which lines differ between two texts: the same answer always, in a time that grows with their length alone.

Lines that both have once are anchors (as in a patience diff); what lies between two anchors is looked at by itself.
The standard library's matcher is asked about small rests only: it takes hours over large texts of equal lines.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Sequence
from difflib import SequenceMatcher
from typing import NamedTuple

_DEPTH_MAX = 32
_SMALL = 1024
"""The most pairs of lines that the matcher compares at once."""
_BUDGET = 100_000
"""And the most in all of two texts."""


class Span(NamedTuple):
    """Lines of the old text, and what stands in their place; counted from 0, the ends do not belong to them."""

    old: int
    old_end: int
    new: int
    new_end: int


def spans(old: Sequence[str], new: Sequence[str]) -> list[Span]:
    """Return where two texts differ, in order; between two spans there is at least one equal line."""
    found: list[Span] = []
    waiting = [(Span(0, len(old), 0, len(new)), 0)]
    budget = _BUDGET
    while waiting:
        whole, depth = waiting.pop()
        span = _trimmed(old, new, whole)
        lengths = span.old_end - span.old, span.new_end - span.new
        if not all(lengths):
            found += [span] if any(lengths) else []
            continue
        anchors = _anchors(old, new, span) if depth < _DEPTH_MAX else []
        if anchors:
            waiting += [(each, depth + 1) for each in _between(span, anchors)]
        elif (pairs := lengths[0] * lengths[1]) <= min(_SMALL, budget):
            budget -= pairs
            found += _matched(old, new, span)
        else:
            found.append(span)
    return _joined(sorted(found))


def _trimmed(old: Sequence[str], new: Sequence[str], span: Span) -> Span:
    start, end, new_start, new_end = span
    while start < end and new_start < new_end and old[start] == new[new_start]:
        start, new_start = start + 1, new_start + 1
    while start < end and new_start < new_end and old[end - 1] == new[new_end - 1]:
        end, new_end = end - 1, new_end - 1
    return Span(start, end, new_start, new_end)


def _anchors(old: Sequence[str], new: Sequence[str], span: Span) -> list[tuple[int, int]]:
    """Return the longest row of pairs of lines that each side has once, rising on both sides."""
    counts = Counter(old[span.old : span.old_end])
    places = Counter(new[span.new : span.new_end])
    where = {new[at]: at for at in range(span.new, span.new_end)}
    pairs = [
        (at, where[old[at]]) for at in range(span.old, span.old_end) if counts[old[at]] == 1 == places.get(old[at], 0)
    ]
    tails: list[int] = []
    ends: list[int] = []
    before: list[int] = []
    for index, (_, there) in enumerate(pairs):
        place = bisect_left(tails, there)
        before.append(ends[place - 1] if place else -1)
        if place == len(tails):
            tails.append(there)
            ends.append(index)
        else:
            tails[place], ends[place] = there, index
    row: list[tuple[int, int]] = []
    at = ends[-1] if ends else -1
    while at >= 0:
        row.append(pairs[at])
        at = before[at]
    return row[::-1]


def _between(span: Span, anchors: list[tuple[int, int]]) -> list[Span]:
    starts = [(span.old, span.new), *((here + 1, there + 1) for here, there in anchors)]
    ends = [*anchors, (span.old_end, span.new_end)]
    return [Span(one[0], other[0], one[1], other[1]) for one, other in zip(starts, ends, strict=True)]


def _matched(old: Sequence[str], new: Sequence[str], span: Span) -> list[Span]:
    one, other = old[span.old : span.old_end], new[span.new : span.new_end]
    codes = SequenceMatcher(None, one, other, autojunk=False).get_opcodes()
    return [
        Span(span.old + first, span.old + last, span.new + there, span.new + there_last)
        for word, first, last, there, there_last in codes
        if word != "equal"
    ]


def _joined(found: list[Span]) -> list[Span]:
    joined: list[Span] = []
    for span in found:
        if joined and joined[-1].old_end == span.old and joined[-1].new_end == span.new:
            joined[-1] = Span(joined[-1].old, span.old_end, joined[-1].new, span.new_end)
        else:
            joined.append(span)
    return joined
