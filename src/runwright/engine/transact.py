"""Answer requests within one transaction: lock what they need in the one order, read, and let a batch decide.

The order is the contract's: idempotency keys, limits, budgets, runs; then what passes over the rows that others hold.
A run's limits never change, so they are known, and locked, before the run is. The run that a fire may have to wait out
or stop is a run like others, named by the schedule as it was seen; that the schedule still says so is looked at
afterwards.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec.structs import replace

from runwright.domain import commands as c
from runwright.domain.errands import errand
from runwright.domain.gathering import Gathering, gathering_of, is_open
from runwright.domain.outcome import Parked
from runwright.domain.run import Run, Spec
from runwright.domain.schedule import Schedule
from runwright.engine import retold
from runwright.engine.admission import Admission
from runwright.engine.advance import advance
from runwright.engine.ballot import Ballot
from runwright.engine.batch import Batch, Terms
from runwright.engine.fire import fire
from runwright.engine.floor import Floor
from runwright.engine.meeting import Meeting, is_parked
from runwright.engine.requests import (
    RECURRING,
    SLOTLESS,
    UNLOCKED,
    Admit,
    Advance,
    Begin,
    Fire,
    Fused,
    Recurring,
    Request,
    Reserved,
    Send,
    Sent,
    Spawn,
    Spawned,
    Submitted,
    Take,
    Tell,
    by_kind,
    child_of,
)
from runwright.engine.till import Till, spends
from runwright.errors import Conflict, Error, IdempotencyMismatch, LoopActive, NotFound
from runwright.store.base import Lease, Slots, Transaction


class Transact:
    """The requests of one transaction. `answers` has one list for each group; `fused` those begun as they were made."""

    def __init__(
        self,
        groups: Iterable[Sequence[Request]],
        known: Mapping[str, Run],
        reserved: Mapping[str, Reserved],
        terms: Terms,
        meeting: Meeting,
        *,
        batch_max: int,
        idempotency_ttl_us: int,
        awaited: Container[str | None] = frozenset(),
    ) -> None:
        self._groups = tuple(groups)
        self._requests = [request for group in self._groups for request in group]
        self._kinds = by_kind(self._requests)
        self._fires: list[Fire] = self._kinds[Fire]
        self._advances: list[Advance] = self._kinds[Advance]
        self._sends: list[Send] = self._kinds[Send]
        self._spawns: list[Spawn] = self._kinds[Spawn]
        self._submits: list[c.Submit] = [*self._kinds[c.Submit]]
        self._submits += [submit for fires in self._fires for submit in fires.submits]
        self._submits += [submit for ahead in self._advances for submit in ahead.submits]
        self._submits += [submit for send in self._sends for submit in send.submits]
        self._submits += [spawn.submit for spawn in self._spawns]
        self._begins: list[Begin] = self._kinds[Begin]
        self._submits += [begin.submit for begin in self._begins]
        self._again = [submit for submit in self._submits if submit.spec.replay_of is not None]
        self._parked = [finish for finish in self._kinds[c.Finish] if isinstance(finish.outcome, Parked)]
        self._parking = [parked.run_id for parked in self._parked if is_parked(parked)]
        self._meeting = meeting
        self._floor = Floor()
        self._till = Till()
        self._ballot = Ballot(self._kinds[c.Vote])
        self._paying = [append.run_id for append in self._kinds[c.Append] if spends(append)]
        self._known = known
        self._reserved = reserved
        self._terms = terms
        self._idempotency_ttl_us = idempotency_ttl_us
        self._awaited = awaited
        self._keys_taken: dict[tuple[str, str], tuple[str, str]] = {}
        self._claimed: dict[int, list[str]] = {}
        self._leases: dict[str, Lease] = {}
        self._schedules: dict[str, Schedule] = {}
        self._gathered: dict[Gathering, str] = {}
        self._fusing: dict[str, Reserved] = {}
        self._dead: set[str] = set()
        self._admission = Admission(self._kinds[Admit], batch_max)
        self.answers: list[list[Any]] = []
        self.fused: list[Fused] = []

    async def decide(self, tx: Transaction) -> Batch:
        """Lock, read and decide; return the batch, ready to be sealed and written."""
        if self._again:
            await retold.lock(tx, self._again)
        self._keys_taken = await self._idempotent(tx)
        self._gathered = await self._gatherings(tx)
        if self._sends or self._parking:
            await self._meeting.look(tx, self._requests, await self._specs(tx, self._parking))
        slots, held = await self._limited(tx)
        batch = Batch(tx.now, await self._runs(tx, held), self._terms, self._awaited)
        await self._ballot.look(tx, batch.after)
        for group in self._groups:
            answered: list[Any] = []
            self.answers.append(answered)
            for request in group:
                answered.append(self._answer(batch, request, answered))
            if self._again:
                await retold.tell(tx, group, answered)
        if self._floor.open:
            await self._floor.settle(tx, batch)
        if self._till.open:
            await self._till.settle(tx, batch)
        await self._ballot.settle(tx, batch)
        _bring_up_to_date(batch, self.answers)
        await self._admission.admit(tx, batch, slots, held, self.answers)
        return batch

    # --- locks and reads ----------------------------------------------------------------------------------------------

    async def _idempotent(self, tx: Transaction) -> dict[tuple[str, str], tuple[str, str]]:
        keys = [key for each in self._submits for key in (each.idempotency, each.dedup) if key is not None]
        given = (*self._sends, *self._kinds[c.Answer], *self._kinds[c.Vote])
        keys += [each.idempotency for each in given if each.idempotency is not None]
        return await tx.idempotency(keys, tx.now - self._idempotency_ttl_us) if keys else {}

    async def _gatherings(self, tx: Transaction) -> dict[Gathering, str]:
        found = {gathering_of(submit.spec) for submit in self._submits if submit.spec.gather is not None}
        keys = sorted(key for key in found if key is not None)
        return await tx.gatherings(keys) if keys else {}

    async def _limited(self, tx: Transaction) -> tuple[dict[str, Slots], list[str]]:
        """Lock every limit and budget that the requests may change; return the slots, and held runs that may go on."""
        guessed = await self._admission.guess(tx)
        moved = self._named(SLOTLESS) | guessed
        moved.update(self._overlapped(), self._gathered.values(), self._meeting.run_ids, self._followers())
        specs = await self._specs(tx, moved)
        agents: list[Spec] = []
        if self._begins or self._paying or any(spec.speaks is not None for spec in specs):
            specs += await self._specs(tx, await self._floor.look(tx, specs, self._begins))
            agents = specs + await self._specs(tx, self._paying)
        specs += [submit.spec for submit in self._submits]
        keys = {limit.key for spec in specs for limit in spec.limits}.union(self._admission.asked)
        slots = await tx.limits(sorted(keys)) if keys else {}
        if agents:
            await self._till.look(tx, agents)
        return slots, await self._admission.found(tx, slots, guessed) if keys else []

    def _overlapped(self) -> list[str]:
        """Return the runs that decide whether fires may start others."""
        asked = [fire.seen.last_run_id for fire in self._fires if fire.overlap != "allow"]
        return [run_id for run_id in asked if run_id is not None]

    def _followers(self) -> list[str]:
        """Return the runs of steps that a workflow's run takes along."""
        return [run_id for ahead in self._advances for run_id in ahead.followers]

    def _children(self) -> list[str]:
        """Return the runs whose ends others of these requests wait for: made before, or by an idempotency key."""
        keys = [key for spawn in self._spawns if (key := spawn.submit.idempotency) is not None]
        former = [taken[1] for key in keys if (taken := self._keys_taken.get((key.scope, key.key))) is not None]
        return former + [child for finish in self._parked if (child := child_of(finish)) is not None]

    def _named(self, without: frozenset[type]) -> set[str]:
        """Return the runs that requests name; those of some kinds are left out."""
        return {r.run_id for kind, requests in self._kinds.items() if kind not in without for r in requests}

    async def _specs(self, tx: Transaction, run_ids: Iterable[str]) -> list[Spec]:
        wanted = list(run_ids)
        found = [self._known[run_id].spec for run_id in wanted if run_id in self._known]
        missing = [run_id for run_id in wanted if run_id not in self._known]
        return found + list((await tx.specs(missing)).values()) if missing else found

    async def _runs(self, tx: Transaction, held: list[str]) -> dict[str, Run]:
        takes: list[Take] = self._kinds[Take]
        recurring = {r.run_id for kind in RECURRING for r in self._kinds[kind]}
        named = self._named(UNLOCKED)
        named.update(held, self._overlapped(), self._gathered.values(), self._meeting.run_ids, self._children())
        named.update(self._followers(), self._floor.run_ids)
        runs = await tx.runs(sorted(named), self._known) if named else {}
        dead = {s.spec.replay_of for s in self._submits if s.from_dead_letters and s.spec.replay_of is not None}
        self._dead = await tx.dead_letters(sorted(dead)) if dead else set()
        if recurring:
            runs |= await tx.runs(sorted(recurring - named), self._known, wait=False)
            self._leases = await tx.leases([r.run_id for kind in (c.Lose, c.Fence) for r in self._kinds[kind]])
        if self._fires:
            self._schedules = await tx.schedules(sorted({fire.seen.job_id for fire in self._fires}))
        wanted = {lane for take in takes for lane in take.lanes}.union(self._reserved)
        lanes = await tx.open(sorted(wanted)) if wanted else {}
        for take in takes:
            self._claimed[id(take)] = await tx.take([lane for lane in take.lanes if lane in lanes], take.count)
        taken = [run_id for run_ids in self._claimed.values() for run_id in run_ids if run_id not in runs]
        if taken:
            runs |= await tx.runs(taken, self._known)
        # Where nobody waits, a new run may begin in its first transaction.
        self._fusing = {lane: held for lane, held in self._reserved.items() if lanes.get(lane) is False}
        return runs

    # --- answers ------------------------------------------------------------------------------------------------------

    def _answer(self, batch: Batch, request: Request, before: Sequence[Any]) -> Any:
        try:
            match request:
                case c.Submit():
                    return self._submit(batch, request)
                case c.Finish() if self._parked and child_of(request) is not None:
                    return self._wait(batch, request)
                case c.Append() | c.Finish():
                    return self._command(batch, request)
                case Take():
                    run_ids = self._claimed[id(request)]
                    batch.taken.update(run_ids)
                    # One that was stopped earlier in this very transaction is nobody's to claim.
                    waiting = [run_id for run_id in run_ids if batch.after[run_id].state == "queued"]
                    return [batch.decide(c.Claim(run_id, request.worker_id)) for run_id in waiting]
                case Admit():
                    return None
                case Fire():
                    return fire(batch, self._schedules, request)
                case Advance():
                    return advance(batch, request)
                case Tell(operation, results, finished):
                    told = operation.told(results(before, batch.after), batch.now if finished else None)
                    batch.changes.batches.append(told)
                    return told
                case Send():
                    return self._send(batch, request)
                case Spawn():
                    return self._spawn(batch, request)
                case c.Answer() | c.Vote():
                    said = self._ballot.counted(request)
                    return self._floor.hear(batch, said, self._former, self._keys_taken)
                case Begin():
                    return self._floor.begin(batch, request, self._former, self._submit)
                case c.Due() | c.Expire() | c.Lose() | c.Fence():
                    return batch.decide(request) if self._has_come(batch, request) else None
                case _:
                    return self._command(batch, request)
        except Error as refusal:
            return refusal

    def _command(self, batch: Batch, command: c.Command) -> Run:
        if command.run_id not in batch.after:
            raise NotFound("run", command.run_id)
        if self._till.open:
            self._till.require(command)
        run = batch.decide(command)
        if self._till.open:
            self._till.follow(batch, run.run_id)
        return self._meeting.parked(batch, run) if self._parking else run

    def _has_come(self, batch: Batch, request: Recurring) -> bool:
        """Tell whether nobody else has the run, and its lease is over: a worker may have renewed it meanwhile."""
        if request.run_id not in batch.after:
            return False
        if isinstance(request, c.Due | c.Expire):
            return True
        lease = self._leases.get(request.run_id)
        if lease is None or lease.lease_epoch != request.lease_epoch:
            return False
        over_at = lease.until if isinstance(request, c.Lose) else lease.fence_at
        return over_at is not None and over_at <= batch.now

    def _former(self, key: c.IdempotencyKey | None) -> str | None:
        """Return what an earlier request with this key made. Raises `IdempotencyMismatch` if it was another request."""
        former = None if key is None else self._keys_taken.get((key.scope, key.key))
        if key is None or former is None:
            return None
        fingerprint, target = former
        if fingerprint != key.fingerprint:
            raise IdempotencyMismatch(
                "this idempotency key was used for another request; use a new key, or send the same request",
                data={"expected": fingerprint, "given": key.fingerprint},
            )
        return target

    def _send(self, batch: Batch, request: Send) -> Sent:
        key = request.idempotency
        former = self._former(key)
        if former is not None:
            return replace(msgspec.json.decode(former, type=Sent), hit=True)
        sent = self._meeting.send(batch, request)
        if key is not None:
            answer = msgspec.json.encode(sent).decode()
            batch.changes.idempotency.append((key, answer))
            self._keys_taken[key.scope, key.key] = (key.fingerprint, answer)
        return sent

    def _spawn(self, batch: Batch, request: Spawn) -> Spawned:
        """Ask the lease of the run whose code it is first: one that has moved on makes no run."""
        former = self._former(request.submit.idempotency)
        by = request.by
        if former is not None:
            by = replace(by, drafts=())
        if isinstance(by, c.Finish) and isinstance(by.outcome, Parked):
            wait = replace(by.outcome.wait, key=former or request.submit.run_id)
            by = replace(by, outcome=replace(by.outcome, wait=wait))
        if former is None:
            run = batch.decide(by)
            # A child is a run of its own: no other that has the same payload stands for it.
            return Spawned(self._submit(batch, replace(request.submit, dedup=None)), run)
        run = self._wait(batch, by) if isinstance(by, c.Finish) else batch.decide(by)
        return Spawned(Submitted(former, batch.after.get(former), hit=True), run)

    def _wait(self, batch: Batch, finish: c.Finish) -> Run:
        """Let a run wait for the end of a child; one that has ended already wakes it, as its end would have."""
        child = batch.after.get(child_of(finish) or "")
        if child is None or child.spec.parent_run_id != finish.run_id or not child.spec.spawned:
            raise NotFound("run", child_of(finish) or "")
        run = batch.decide(finish)
        if child.terminal and run.state == "waiting":
            batch.changes.inbox.append((child.run_id, errand("wake_parent")))
        return run

    def _submit(self, batch: Batch, command: c.Submit) -> Submitted:
        key = command.idempotency
        former = self._former(key)
        if former is not None:
            return Submitted(former, batch.after.get(former), hit=True)
        twin = self._keys_taken.get((command.dedup.scope, command.dedup.key)) if command.dedup is not None else None
        if twin is not None:
            if command.exclusive:
                raise LoopActive(data={"loop_id": twin[1]})
            if key is not None:
                batch.changes.idempotency.append((key, twin[1]))
                self._keys_taken[key.scope, key.key] = (key.fingerprint, twin[1])
            return Submitted(twin[1], batch.after.get(twin[1]), hit=True)
        if command.from_dead_letters and command.spec.replay_of not in self._dead:
            raise Conflict("the run is not in the dead letter queue", code="runs.not_dead_lettered")
        joined = None if command.spec.gather is None else self._joined(batch, command)
        run = joined or batch.decide(command)
        if self._dead:
            self._dead.discard(command.spec.replay_of or "")
        if key is not None:
            self._keys_taken[key.scope, key.key] = (key.fingerprint, run.run_id)
        if command.dedup is not None:
            self._keys_taken[command.dedup.scope, command.dedup.key] = (command.dedup.fingerprint, run.run_id)
        if joined is not None:
            return Submitted(run.run_id, run, joined=True)
        if self._fusing and run.state == "queued" and not (run.spec.limits or run.spec.rate):
            reserved = self._fusing.get(run.spec.lane)
            if reserved is not None and reserved.taken < reserved.count:
                reserved.taken += 1
                run = batch.decide(c.Claim(run.run_id, reserved.worker.worker_id))
                self.fused.append(Fused(reserved.worker, command))
        return Submitted(run.run_id, run)

    def _joined(self, batch: Batch, command: c.Submit) -> Run | None:
        """Return the run that a trigger joins; None where it makes one, which the next may join."""
        gathering = gathering_of(command.spec)
        if gathering is None:
            return None
        run = batch.after.get(self._gathered.get(gathering, ""))
        if run is None or not is_open(run, batch.now):
            self._gathered[gathering] = command.run_id
            return None
        spec = command.spec
        return batch.decide(
            c.Join(
                run_id=run.run_id,
                payload=command.payload or b"",
                described=spec.payload,
                cause=command.cause,
                key=spec.idempotency_key,
                trace_id=spec.trace_id,
                idempotency=command.idempotency,
            )
        )


def _bring_up_to_date(batch: Batch, answers: list[list[Any]]) -> None:
    """Let each taker know its runs as the transaction leaves them: one may have been asked to stop after the claim."""
    for answered in answers:
        for place, answer in enumerate(answered):
            if isinstance(answer, list):
                answered[place] = [batch.after[run.run_id] for run in answer]
