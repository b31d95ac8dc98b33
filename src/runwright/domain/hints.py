"""Hints that the server processes of one database give each other: where it is worth a look, and never what is true.

A hint may be lost, come twice, or come late. Whoever hears one reads the store; whoever hears none looks by the clock.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any, Literal

import msgspec

from runwright.domain.run import StopKind

Kept = Literal["jobs", "projects", "logins", "webhooks"]
"""What processes keep in memory of what any of them may change."""

_encode = msgspec.json.Encoder(order="deterministic").encode
_ROOM = len(b',"look":true')


class Asked(msgspec.Struct, frozen=True, array_like=True):
    """A stop that was asked of an executing run, for the process that its worker talks to."""

    run_id: str
    lease_epoch: int
    worker_id: str
    kind: StopKind


class Hint(msgspec.Struct, omit_defaults=True):
    """What changed in one process, as far as others may be waiting for it."""

    look: bool = False
    """Something changed: look everywhere."""
    forget: set[Kept] = set()
    """What was changed of that which processes keep in memory."""
    stops: list[Asked] = []
    drains: set[str] = set()
    """Workers that were asked to drain."""
    lanes: dict[str, float] = {}
    """Lanes in which runs became ready, with the smallest rank that came in."""
    moved: set[str] = set()
    """Runs whose state changed."""
    told: set[str] = set()
    """Runs whose log grew, and nothing else."""

    def __bool__(self) -> bool:
        """Tell whether there is anything in it."""
        return any(getattr(self, name) for name in self.__struct_fields__)

    def merge(self, other: Hint, runs_max: int) -> None:
        """Take in another hint. More than `runs_max` runs become `look`."""
        self.look |= other.look
        self.forget |= other.forget
        self.stops += other.stops
        self.drains |= other.drains
        for lane, rank in other.lanes.items():
            self.lanes[lane] = min(self.lanes.get(lane, rank), rank)
        if not self.look:
            self.moved |= other.moved
            self.told |= other.told
        if len(self.moved) + len(self.told) > runs_max:
            self.look = True
        if self.look:  # whoever looks everywhere needs no names
            self.moved, self.told = set(), set()


def packed(hint: Hint, most_bytes: int, most: int) -> list[bytes]:
    """Return a hint as JSON of at most `most_bytes` each, at most `most` of them; what does not fit becomes `look`."""
    whole = _encode(hint)
    if len(whole) <= most_bytes:
        return [whole]
    parts: list[Hint] = []
    size = most_bytes
    for name, item, bytes_ in _items(hint):
        if size + bytes_ + _ROOM > most_bytes:
            if len(parts) == most:
                parts[-1].look = True
                break
            parts.append(Hint())
            size = len(b'{"forget":[],"stops":[],"drains":[],"lanes":{},"moved":[],"told":[]}')
        size += bytes_
        _put(parts[-1], name, item)
    return [_encode(part) for part in parts]


def _items(hint: Hint) -> Iterator[tuple[str, Any, int]]:
    """Yield what is in a hint, what nothing else would tell soon first, with its bytes."""
    if hint.look:
        yield "look", True, _ROOM
    for name in ("forget", "stops", "drains", "lanes", "moved", "told"):
        held: Iterable[Any] = getattr(hint, name)
        for item in held.items() if isinstance(held, dict) else held:
            yield name, item, len(_encode(item)) + 1


def _put(part: Hint, name: str, item: Any) -> None:
    held = getattr(part, name)
    if name == "look":
        part.look = True
    elif isinstance(held, set):
        held.add(item)
    elif isinstance(held, list):
        held.append(item)
    else:
        held[item[0]] = item[1]
