"""Scan a text for secrets, in one piece or in chunks: one loop for both, so both answer alike.

The scan goes left to right. Where a literal or a known value begins, it asks whether a secret begins; inside of a
secret it runs to the end of its tail, and on, as long as a known value that began inside lasts longer. A decision is
made only when no later byte can change it, which is what makes every way of cutting the text come out the same.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Collection, Iterator
from itertools import groupby

import msgspec
from ahocorasick_rs import BytesAhoCorasick, Implementation, MatchKind

from runwright.domain.patterns import CONTEXT, KEPT, KNOWN, NOTHING, PATTERNS, UNIT, Regex

Hit = tuple[bytes, int, int]  # a literal or known value, from where, to where

_BEGIN = 3  # bytes; no literal is shorter
_SIEVED = 16  # bytes of a known value that the sieve looks for: enough to be rare, and its table stays small
_MOST_IN_TABLE = 2_000
_SMALL = Implementation.ContiguousNFA
_SURROGATE = re.compile("[\ud800-\udfff]")
_escape = msgspec.json.Encoder().encode
_ROWS = {literal: [row for row in PATTERNS if literal in row.literals] for row in PATTERNS for literal in row.literals}


def _sieve(sought: Collection[bytes]) -> Callable[[bytes], list[tuple[int, int, int]]]:
    """Answer "anything at all?" for texts and for JSON, where a text may be escaped once more.

    With leftmost matching the automaton skips by SIMD where its words are few, but it misses overlaps. A table for
    every byte is faster otherwise, as long as it is not too large to make.
    """
    begins = {word[:_SIEVED] for word in sought} | {_escape(word.decode())[1:-1][:_SIEVED] for word in sought}
    implementation = Implementation.DFA if len(begins) <= _MOST_IN_TABLE else Implementation.ContiguousNFA
    return BytesAhoCorasick(sorted(begins), MatchKind.LeftmostFirst, implementation).find_matches_as_indexes


_hint = _sieve([literal for literal, rows in _ROWS.items() if rows[0].kind != KEPT])


class Undecided(msgspec.Struct, frozen=True):
    """Where a stream stands between two chunks: the bytes that it holds back, and what it knows of them."""

    text: bytes
    at: int
    since: int
    start: int
    tail: bytes | None


class Stream:
    """Redact one text that arrives in chunks; one that was left `undecided` goes on where it stood.

    What `feed` and `close` return is, put together, what `Redactor.text` makes of the whole. Only that is held back
    which could still turn out to begin a secret, at most 4 KiB; of a longer secret the marker is out by then.
    """

    def __init__(self, find: "Finder", left: Undecided | None = None) -> None:
        self._find = find
        self._tail: Regex | None = None  # set while inside of a secret
        self._reset()
        if left is not None:
            self._text, self._at, self._since, self._from = left.text, left.at, left.since, left.start
            if left.tail is not None:
                self._tail = re.compile(left.tail)

    def under(self, find: "Finder") -> bool:
        """Tell whether this is what the stream looks for."""
        return self._find is find

    @property
    def undecided(self) -> Undecided:
        """Return where the stream stands: at most 4 KiB, and secret until it is decided."""
        return Undecided(
            self._text, self._at, self._since, self._from, None if self._tail is None else self._tail.pattern
        )

    def _reset(self) -> None:
        self._text = b""  # what is not decided yet, and a little of what stood before it
        self._at = 0  # the first byte that is not decided
        self._since = 0  # what stands before was replaced, so it is nobody's context
        self._tail = None
        self._from = 0  # inside of a secret: where known values may begin that outlast it

    def feed(self, chunk: str) -> str:
        """Take the next chunk; return all that no later chunk can change any more."""
        return self._scan(utf8(chunk), last=False).decode()

    def take(self, chunk: bytes) -> bytes:
        """Take the next chunk of a text that need not be UTF-8, as `feed` does."""
        return self._scan(chunk, last=False)

    def close(self) -> str:
        """Return the rest; the stream is then ready for another text."""
        return self.finish(b"").decode()

    def finish(self, text: bytes) -> bytes:
        """Take the last chunk, in UTF-8, and return the rest."""
        out = self._scan(text, last=True)
        self._reset()
        return out

    def _scan(self, chunk: bytes, last: bool) -> bytes:
        text = self._text = self._text + chunk
        begin = self._at if self._tail is None else self._from
        hits = [hit for hit in self._find.hits(text) if hit[1] >= begin]
        limit = len(text) if last else self._find.unfinished(text, begin)
        out: list[bytes] = []
        for start, group in groupby(hits, key=_start):
            if not self._leave(hits, limit, last) or start >= limit:
                break
            if start >= self._at and not self._enter(start, list(group), hits, limit, last, out):
                limit = start
                break
        if self._leave(hits, limit, last):
            out.append(text[self._at : limit])
            self._at = max(self._at, limit)
        self._trim()
        return b"".join(out)

    def _trim(self) -> None:
        cut = max(0, (self._at if self._tail is None else self._from) - CONTEXT)
        self._text = self._text[cut:]
        self._at -= cut
        self._from -= cut
        self._since = max(0, self._since - cut)

    def _enter(self, start: int, here: list[Hit], hits: list[Hit], limit: int, last: bool, out: list[bytes]) -> bool:
        """Open the secret that begins at ``start``, if there is one; return False when that cannot be told yet."""
        text = self._text
        end = max((stop for literal, _, stop in here if literal in self._find.known), default=start)
        kind, begin, tail = (KNOWN if end > start else ""), start, NOTHING
        for row in (row for literal, _, _ in here for row in _ROWS.get(literal, ())):
            if not last and row.undecided(text, start):
                return False
            if found := row.match(text, start, self._since):
                secret, head_end, tail = found
                if row.kind == KEPT:
                    out.append(text[self._at : head_end])
                    self._at = self._since = head_end
                    return True
                if not kind:
                    inside = (at for at, _ in self._known(hits, start, secret))
                    kind, begin = row.kind, min([secret, *inside])
                    if limit < begin:
                        return False
                end = max(end, head_end)
                break
        if kind:
            out += (text[self._at : begin], marker(kind))
            self._at, self._from, self._tail = end, begin, tail
            self._began(kind, begin)
        return True

    def _began(self, kind: str, begin: int) -> None:
        """Hear where a secret begins."""

    def _ended(self, end: int) -> None:
        """Hear where the secret that began last ends."""

    def _leave(self, hits: list[Hit], limit: int, last: bool) -> bool:
        """Go to the end of the secret that is open, if any; return False when its end cannot be told yet."""
        if self._tail is None:
            return True
        begin = self._from
        while True:
            end = self._at = _run(self._tail, self._text, self._at)
            outlasting = [(start, stop) for start, stop in self._known(hits, begin, end) if stop > end]
            if not last and self._tail.pattern and len(self._text) - end < UNIT:
                self._from = min([end, limit, *(start for start, _ in outlasting)])
                return False
            if not outlasting:
                break
            begin, self._at = end, max(stop for _, stop in outlasting)
        if limit < end:
            self._from = limit
            return False
        self._since, self._tail = end, None
        self._ended(end)
        return True

    def _known(self, hits: list[Hit], begin: int, end: int) -> Iterator[tuple[int, int]]:
        """Find the known values that begin between ``begin`` and ``end``."""
        for place in range(bisect_left(hits, begin, key=_start), len(hits)):
            literal, start, stop = hits[place]
            if start >= end:
                return
            if literal in self._find.known:
                yield start, stop


class Finder:
    """Find literals of patterns and known values; what a redactor and its streams share."""

    def __init__(self, known: frozenset[bytes]) -> None:
        self.known = known
        self._literals = sorted({*_ROWS, *known})
        self._longest = max(map(len, self._literals))
        self._matches = BytesAhoCorasick(self._literals, MatchKind.Standard, _SMALL).find_matches_as_indexes
        begins = sorted({literal[:_BEGIN] for literal in self._literals})
        self._begins = BytesAhoCorasick(begins, MatchKind.Standard, _SMALL).find_matches_as_indexes
        self._cut = {begin[:size] for begin in begins for size in range(1, _BEGIN)}
        self._known_hint = _sieve(known) if known else None

    def hint(self, text: bytes) -> bool:
        """Tell quickly whether a secret may stand in ``text``, be it plain text or JSON; never misses one."""
        return bool(_hint(text)) or (self._known_hint is not None and bool(self._known_hint(text)))

    def hits(self, text: bytes) -> list[Hit]:
        """Find every literal and known value, overlapping ones too, by where they start, the longest first."""
        found = [(self._literals[which], start, stop) for which, start, stop in self._matches(text, overlapping=True)]
        return sorted(found, key=lambda hit: (hit[1], -hit[2]))

    def suspect(self, encoded: bytes) -> bool:
        """Tell whether a secret may stand in JSON without escapes, whose strings are spelled as they are."""
        for which, start, _ in self._matches(encoded, overlapping=True):
            literal = self._literals[which]
            rows = _ROWS.get(literal, ())
            if literal in self.known or any(row.kind != KEPT and row.match(encoded, start) for row in rows):
                return True
        return False

    def unfinished(self, text: bytes, begin: int) -> int:
        """Return where the first literal or known value begins that the end of ``text`` cuts, else its length."""
        size = len(text)
        begin = max(begin, size - self._longest + 1)
        for _, start, _ in self._begins(text[begin:], overlapping=True):
            rest = text[begin + start :]
            after = bisect_right(self._literals, rest)
            if after < len(self._literals) and self._literals[after].startswith(rest):
                return begin + start
        for start in range(max(begin, size - _BEGIN + 1), size):
            if text[start:] in self._cut:
                return start
        return size


def marker(kind: str) -> bytes:
    """Return what stands where a secret of this kind stood."""
    return f"[redacted:{kind}]".encode()


def utf8(text: str) -> bytes:
    """Encode a text; lone surrogates, which neither UTF-8 nor JSON can carry, become U+FFFD."""
    try:
        return text.encode()
    except UnicodeEncodeError:
        return scalars(text).encode()


def scalars(text: str) -> str:
    """Replace the lone surrogates of a text by U+FFFD."""
    return _SURROGATE.sub("\ufffd", text)


def _start(hit: Hit) -> int:
    return hit[1]


def _run(tail: Regex, text: bytes, at: int) -> int:
    found = tail.match(text, at)
    return found.end() if found else at
