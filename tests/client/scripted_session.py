"""A host that keeps a run's log and values in memory, and can die at any save: `Session` is a port."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

import msgspec

from runwright.client.errors import LeaseLost
from runwright.client.execution import run_handler
from runwright.client.handlers import Handler
from runwright.client.outcome import Outcome, Parked
from runwright.client.session import Child, Draft, Key, StopSignal, Value, ValueKind


class Journal:
    """What a run has left behind: it outlives its leases."""

    def __init__(self) -> None:
        self.events: list[Draft] = []
        self.kept: dict[str, dict[str, Any]] = {"step": {}, "checkpoint": {}, "output": {}, "state": {}}
        self.annotations: dict[str, str] = {}
        self.children: dict[str, str] = {}
        self.spawned: list[Child] = []
        self.continuations: list[dict[str, Any] | None] = []
        self.memory: dict[str, Any] = {}
        self.schemas: dict[str, Any] = {}
        self.now = 1_000_000_000
        self.saves = 0

    def types(self) -> list[str]:
        return [event.type for event in self.events]

    def of(self, type: str) -> list[dict[str, Any]]:
        return [event.data for event in self.events if event.type == type]


class ScriptedSession:
    """One lease of the journal's run. `die_at` is the number of the save at which the host dies."""

    def __init__(
        self,
        journal: Journal,
        payload: Any = None,
        *,
        attempt: int = 1,
        lease_epoch: int = 1,
        die_at: int | None = None,
        die_after_write: bool = False,
        rerun_unknown_steps: bool = False,
        on_save: Callable[[Sequence[Draft]], Awaitable[None]] | None = None,
    ) -> None:
        self.journal = journal
        self.run_id = "run_1"
        self.job = "test"
        self.attempt = attempt
        self.lease_epoch = lease_epoch
        self.payload = payload
        self.metadata: dict[str, str] = {"team": "blue"}
        self.tags: dict[str, str] = {"env": "test"}
        self.secrets: dict[str, str] = {"API_KEY": "s3cret"}
        self.env: dict[str, str] = {"REGION": "eu"}
        self.idempotency_key: str | None = None
        self.rerun_unknown_steps = rerun_unknown_steps
        self.stop = StopSignal()
        self.dead = False
        self._die_at = die_at
        self._die_after_write = die_after_write
        self._on_save = on_save
        self._buffer: list[Draft] = []

    def now(self) -> int:
        return self.journal.now

    def emit(self, draft: Draft) -> None:
        self._buffer.append(draft)

    def flush(self) -> None:
        self.journal.events += self._buffer
        self._buffer = []

    async def save(self, drafts: Sequence[Draft], values: Sequence[Value] = (), removed: Sequence[Key] = ()) -> None:
        self.journal.saves += 1
        dies = self.journal.saves == self._die_at
        if self.dead or (dies and not self._die_after_write):
            self.dead = True
            raise LeaseLost("the host died before it wrote")
        await asyncio.sleep(0)
        self.flush()
        self.journal.events += drafts
        for value in values:
            # Through bytes, as a store does: nothing of the handler's own objects may survive in here.
            self.journal.kept[value.kind][value.key] = msgspec.json.decode(msgspec.json.encode(value.data))
            self.journal.schemas[value.key] = value.schema
        for kind, key in removed:
            self.journal.kept[kind].pop(key, None)
        if self._on_save is not None:
            await self._on_save(drafts)
        if dies:
            self.dead = True
            raise LeaseLost("the host died after it wrote")

    async def spawn(self, child: Child) -> str:
        run_id = self.journal.children.setdefault(child.idempotency_key, f"run_{len(self.journal.children) + 2}")
        self.journal.spawned.append(child)
        return run_id

    async def go_on(self, payload: dict[str, Any] | None, idempotency_key: str) -> str:
        self.journal.continuations.append(payload)
        return self.journal.children.setdefault(idempotency_key, f"run_{len(self.journal.children) + 2}")

    async def recall(self, key: str, default: Any = None) -> Any:
        return self.journal.memory.get(key, default)

    async def remember(self, key: str, value: Any, ttl_s: float | None) -> None:
        self.journal.memory[key] = value

    async def forget(self, key: str) -> None:
        self.journal.memory.pop(key, None)

    async def annotate(self, annotations: Mapping[str, str]) -> None:
        self.journal.annotations |= annotations

    async def values(self, kind: ValueKind) -> dict[str, Any]:
        return dict(self.journal.kept[kind])


async def execute(handler: Handler[Any, Any], journal: Journal, payload: Any = None, **session: Any) -> Outcome:
    """Run one lease to its end, and append what it emitted."""
    lease = ScriptedSession(journal, payload, **session)
    outcome = await run_handler(handler, lease)
    lease.flush()
    return outcome


async def execute_to_end(handler: Handler[Any, Any], journal: Journal, payload: Any = None, **session: Any) -> Outcome:
    """Run leases until the run ends, waking it from each sleep at its time; a lost lease is followed by another."""
    lease_epoch = 0
    while lease_epoch < 100:
        lease_epoch += 1
        try:
            outcome = await execute(handler, journal, payload, lease_epoch=lease_epoch, **session)
        except LeaseLost:
            continue
        if not isinstance(outcome, Parked):
            return outcome
        assert outcome.wake_at is not None
        assert outcome.wake_at > journal.now
        journal.now = outcome.wake_at
    raise AssertionError("the run never ended")
