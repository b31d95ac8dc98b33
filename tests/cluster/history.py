"""What clients and workers did and saw of a cluster, as they wrote it down themselves; `judge` decides over it.

Instants are µs of the machine's monotonic clock, which all processes share: each action has the one before it was
asked for and the one after it was answered. Nothing here is taken from a server's word for another's action.
"""

from __future__ import annotations

import time
from hashlib import sha256
from pathlib import Path
from typing import Any, Literal

import msgspec

from runwright.domain.events import TERMINAL_TYPES

Answer = Literal["acknowledged", "unknown", "refused"]
What = Literal["begin", "kept", "unheard", "end"]


class Seen(msgspec.Struct, frozen=True):
    """An event as somebody saw it: its place, and a digest of all that was shown of it."""

    seq: int
    type: str
    digest: str
    lease_epoch: int | None = None
    """Of `run.started`, and of an end by a lease."""
    name: str | None = None
    """Of `output.saved`: its key, which is `<epoch>-<place>`."""

    @property
    def terminal(self) -> bool:
        """Tell whether nothing may follow."""
        return self.type in TERMINAL_TYPES


class Submission(msgspec.Struct, frozen=True):
    """One request to start a run under an idempotency key; unknown is what may have been done or not."""

    key: str
    server: str
    asked_at: int
    answered_at: int
    answer: Answer
    run_id: str | None = None
    hit: bool = False


class Delivery(msgspec.Struct, frozen=True):
    """What one connection of a stream delivered, after the event that the reader had last."""

    stream: str
    run_id: str
    server: str
    after: int
    events: list[Seen]
    ended: bool = False
    """Whether the server said that there is no more: by the terminal event, or by 204."""


class Sighting(msgspec.Struct, frozen=True):
    """One look at a run."""

    server: str
    run_id: str
    asked_at: int
    answered_at: int
    found: bool
    state: str = ""
    last_seq: int = 0
    lease_epoch: int = 0


class Deed(msgspec.Struct, frozen=True):
    """A line in the book of an execution: `kept` is an output that was acknowledged, `unheard` one that was not."""

    what: What
    run_id: str
    lease_epoch: int
    asked_at: int
    answered_at: int
    name: str | None = None


class Account(msgspec.Struct, frozen=True):
    """A run as one source (a server, or the store itself) tells it when all is over."""

    source: str
    run_id: str
    key: str | None
    state: str
    last_seq: int
    lease_epoch: int
    events: list[Seen]
    result_epoch: int | None = None
    """The lease that the handler which returned the result had."""
    broken: str | None = None
    """What an auditor of its chain found wrong."""


class History(msgspec.Struct):
    """Everything that was written down. `limits` are those that runs share: run → (limit, how many at a time)."""

    sources: list[str]
    submissions: list[Submission] = []
    deliveries: list[Delivery] = []
    sightings: list[Sighting] = []
    deeds: list[Deed] = []
    accounts: list[Account] = []
    limits: dict[str, tuple[str, int]] = {}
    complaints: list[str] = []
    """What a client could tell at once: an answer that no client may get."""

    def dump(self, path: Path) -> None:
        """Write it to a file for whoever looks for the cause."""
        path.write_bytes(msgspec.json.format(msgspec.json.encode(self)))


def instant() -> int:
    """Return the instant, in µs, that all processes of this machine agree on."""
    return time.monotonic_ns() // 1000


def seen(event: dict[str, Any]) -> Seen:
    """Return an event of the wire as a client notes it."""
    data = event["data"] if isinstance(event["data"], dict) else {}
    shown = {name: event[name] for name in ("run_id", "seq", "type", "level", "message", "data", "created_at")}
    return Seen(
        seq=event["seq"],
        type=event["type"],
        digest=sha256(msgspec.json.encode(shown, order="sorted")).hexdigest()[:16],
        lease_epoch=data.get("lease_epoch"),
        name=data.get("output_key"),
    )
