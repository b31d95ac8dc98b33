"""Take out what is left of known secrets at the edges of a text that was cut out of another one.

A secret that is cut in two is whole in neither piece. So the *larger part* of one goes as well, where it stands at an
edge: half of its bytes or more, and at least four. Then of two pieces that make a secret at least one has lost its
part, for secrets of seven bytes and more. A smaller part is left: it tells little, and may be there by chance.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence

LEAST_BYTES = 4


class Edges:
    """What known secrets begin and end with. Free of state, and shared."""

    def __init__(self, known: Iterable[bytes]) -> None:
        """Prepare for secrets in all their spellings."""
        words = list(known)
        self._forwards = sorted(words)
        self._backwards = sorted(word[::-1] for word in words)
        self._longest = max(map(len, words), default=0)

    def after(self, text: bytes) -> int:
        """Return how many bytes at the end of a text are the larger part of a secret that would go on behind it."""
        return self._part(self._forwards, text[-self._longest :])

    def before(self, text: bytes) -> int:
        """Return how many bytes at the beginning of a text are the larger part of a secret that began before it."""
        return self._part(self._backwards, text[: self._longest][::-1])

    def _part(self, words: Sequence[bytes], text: bytes) -> int:
        for size in range(min(len(text), self._longest - 1), LEAST_BYTES - 1, -1):
            part = text[-size:]
            # In their order the words that go on from here stand together, behind the part itself.
            at = bisect_right(words, part)
            while at < len(words) and words[at].startswith(part):
                if len(words[at]) <= 2 * size:
                    return size
                at += 1
        return 0
