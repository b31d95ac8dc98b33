"""What retention leaves of a run: a summary, and the proof that its log was taken away by retention and by nobody else.

The runs of one round are the leaves of a hash tree. Its root stands in the audit log; each run keeps its own way up to
the root. So one entry binds hundreds of runs, and each is proven by itself, also when the others are gone.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

import msgspec

from runwright.domain.events import Event
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Run
from runwright.domain.tree import leaf, node

ACTION = "runs.pruned"
ACTOR = "system:retention"
_LEFT, _RIGHT = b"L", b"R"
_STEP = 33


class Remains(msgspec.Struct, frozen=True):
    """Hold what the proof covers; the fields stand in the order of RFC 8785, digests in hex.

    `seq` and `hash` are the place and the head of the log that was taken away, `genesis` what it began with.
    """

    finished_at: int
    genesis: str
    hash: str
    run_id: str
    seq: int
    state: str


class Pruned(msgspec.Struct, frozen=True):
    """What the audit log keeps of a round; its target is the root of the tree, in hex."""

    runs: int
    first: str
    last: str
    ended_before: int


_encode = msgspec.json.Encoder(order="deterministic").encode


def proofs(remains: Sequence[Remains]) -> tuple[str, list[bytes]]:
    """Return the root of the tree over these, at least one, and the way of each up to it."""
    level = [_leaf(each) for each in remains]
    ways = [bytearray() for _ in level]
    below = [[place] for place in range(len(level))]
    while len(level) > 1:
        for left in range(0, len(level) - 1, 2):
            for place in below[left]:
                ways[place] += _RIGHT + level[left + 1]
            for place in below[left + 1]:
                ways[place] += _LEFT + level[left]
        below = [[*chain(*below[left : left + 2])] for left in range(0, len(level), 2)]
        level = [_joined(level[left : left + 2]) for left in range(0, len(level), 2)]
    return level[0].hex(), [bytes(way) for way in ways]


def root(remains: Remains, way: bytes) -> str:
    """Return the root, in hex, to which a way leads from what is left of a run; nothing for what is no way."""
    found = _leaf(remains)
    for at in range(0, len(way), _STEP):
        side, beside = way[at : at + 1], way[at + 1 : at + _STEP]
        if side not in (_LEFT, _RIGHT) or len(beside) != len(found):
            return ""
        found = _joined([beside, found] if side == _LEFT else [found, beside])
    return found.hex()


def last_event(run: Run) -> Event:
    """Return the terminal event of a run whose log is gone, as its summary still tells it: without data."""
    return Event(
        run_id=run.run_id,
        seq=run.seq,
        type=f"run.{run.state}",
        level="info",
        actor=ACTOR,
        message=RedactedText(""),
        data=None,
        salt=b"",
        lease_epoch=0,
        created_at=run.at,
        hash=run.hash,
    )


def _leaf(remains: Remains) -> bytes:
    return leaf(_encode(remains))


def _joined(pair: Sequence[bytes]) -> bytes:
    return pair[0] if len(pair) == 1 else node(*pair)  # who has no neighbour goes up as it is
