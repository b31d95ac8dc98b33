"""Whose turn it is in a thread: decided within one transaction of the commit, under the thread's name.

Whoever makes a run of a thread, ends one, or adds a message, first locks the thread's name (`Transaction.meet`). So of
two runs that begin at once one has the floor and the other sees it, and messages are numbered without gaps. A run that
stands in line waits like one that depends on another (`Wait` on dependency, its key the thread's id); who ends gives
the floor to the next in the same transaction: there is no moment at which two have it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from runwright.domain import commands as c
from runwright.domain.outcome import Said
from runwright.domain.run import Run, Spec, Wait
from runwright.domain.tenancy import THREADS, Cause
from runwright.domain.thread import Message
from runwright.engine.batch import Batch
from runwright.engine.requests import Begin, Submitted
from runwright.errors import Conflict, NotFound, QuotaExceeded
from runwright.store.base import Transaction
from runwright.store.queries import threads as q
from runwright.store.query import Query

Former = Callable[[c.IdempotencyKey | None], str | None]


def name_of(thread_id: str) -> str:
    """Return the name under which all that happens in a thread meets."""
    return f"thread/{thread_id}"


class _InLine(Struct):
    """A run that waits for its turn, and what it will then say."""

    run_id: str
    message: Said | None
    created_by: str
    place: int = 0


class _Room(Struct):
    """A thread as the transaction found it, kept up to date."""

    thread_id: str
    org_id: str
    project_id: str
    next_seq: int
    busy: str | None
    line: list[_InLine]
    last: Message | None
    written_seq: int

    @property
    def run_ids(self) -> list[str]:
        """Return the runs that have the floor or want it, in their order."""
        return [*([self.busy] if self.busy is not None else []), *(each.run_id for each in self.line)]


class Floor:
    """The threads that the requests of a transaction are about; what changes is written by `settle`."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._agents: dict[str, None] = {}
        self._writes: list[tuple[Query, dict[str, Any]]] = []

    @property
    def open(self) -> bool:
        """Tell whether runs of agents are concerned at all."""
        return bool(self._agents)

    @property
    def run_ids(self) -> list[str]:
        """Return the runs whose turn it is or will be: they are locked with the others."""
        return [run_id for room in self._rooms.values() for run_id in room.run_ids]

    async def look(self, tx: Transaction, specs: Iterable[Spec], begins: Sequence[Begin]) -> list[str]:
        """Lock the threads of these runs and see who has the floor; return the runs that they hold."""
        asked = [*specs, *(begin.submit.spec for begin in begins)]
        found = {spec.run_id: spec.agent.thread_id for spec in asked if spec.agent is not None}
        self._agents = dict.fromkeys(found)
        thread_ids = sorted(set(found.values()))
        await tx.meet([name_of(thread_id) for thread_id in thread_ids])
        back = {begin.thread_id for begin in begins if begin.takes_back}
        for thread_id in thread_ids:
            rows = await tx.fetch(q.THREAD, thread_id=thread_id)
            if not rows:
                continue
            thread = q.thread(rows[0])
            busy = await tx.fetch(q.BUSY, thread_id=thread_id)
            line = [
                _InLine(run_id, None if message_id is None else Said(message_id, "user", sealed), created_by, place)
                for run_id, message_id, sealed, created_by, place in await tx.fetch(q.LINE, thread_id=thread_id)
            ]
            last = await tx.fetch(q.LAST_SHOWN, thread_id=thread_id) if thread_id in back else []
            self._rooms[thread_id] = _Room(
                thread_id,
                thread.org_id,
                thread.project_id,
                thread.next_message_seq,
                busy[0][0] if busy else None,
                line,
                q.message(last[0]) if last else None,
                thread.next_message_seq,
            )
        return self.run_ids

    def begin(
        self, batch: Batch, request: Begin, former: Former, submit: Callable[[Batch, c.Submit], Submitted]
    ) -> Submitted:
        """Make a run of a thread: with the floor, in its line, or not at all.

        Raises `NotFound` for a thread that is gone, `Conflict` (`runs.thread_busy`) where another has the floor, and
        `QuotaExceeded` for a line that is too long.
        """
        spec = request.submit.spec
        known = former(request.submit.idempotency)
        if known is not None:
            return Submitted(known, batch.after.get(known), hit=True)
        room = self._rooms.get(request.thread_id)
        if room is None:
            raise NotFound("thread", request.thread_id)
        before = [run_id for run_id in room.run_ids if (run := batch.after.get(run_id)) and not run.terminal]
        if before and request.on_busy == "reject":
            raise Conflict(
                "another run has its turn in this thread", code="runs.thread_busy", data={"run_id": before[0]}
            )
        if len(before) > request.line_max:
            raise QuotaExceeded(
                f"{request.line_max} runs stand in the line of this thread already", code="runs.line_full"
            )
        if request.takes_back:
            self._take_back(batch, room)
        command = request.submit if not before else replace(request.submit, wait=Wait("dependency", room.thread_id))
        made = submit(batch, command)
        self._agents[spec.run_id] = None
        row = {"thread_id": room.thread_id, "run_id": spec.run_id, "org_id": room.org_id}
        self._writes.append((q.INSERT_RUN, {**row, "through_message_seq": None}))
        newcomer = _InLine(spec.run_id, request.message, spec.created_by)
        if not before:
            self._give(batch, room, newcomer, listed=False)
            return made
        newcomer.place = room.line[-1].place + 1 if room.line else 1
        room.line.append(newcomer)
        message = request.message
        self._writes.append(
            (
                q.INSERT_ENQUEUED,
                {
                    **row,
                    "message_id": None if message is None else message.message_id,
                    "sealed": None if message is None else message.sealed,
                    "created_by": spec.created_by,
                    "place": newcomer.place,
                },
            )
        )
        if request.on_busy == "interrupt":
            for run_id in before:
                cause = Cause(THREADS, f"{spec.run_id} took its place", request.submit.cause.request_id)
                batch.decide(c.Stop(run_id, "cancel", cause))
        return made

    def hear(
        self, batch: Batch, answer: c.Answer | c.Vote, former: Former, keys: dict[tuple[str, str], tuple[str, str]]
    ) -> Run:
        """Let a run hear an answer or a vote; one that its key names again was heard, whatever the run does by now."""
        run = batch.after.get(answer.run_id)
        if run is None:
            raise NotFound("run", answer.run_id)
        key = answer.idempotency
        if former(key) is not None:
            return run
        run = batch.decide(answer)
        if key is not None:
            keys[key.scope, key.key] = (key.fingerprint, run.run_id)
        return run

    async def settle(self, tx: Transaction, batch: Batch) -> None:
        """Give the floor of who ended to who is next, and write what was said, asked and answered."""
        for room in self._rooms.values():
            self._pass_on(batch, room)
        for run_id in self._agents:
            self._ask(batch, run_id)
        for query, row in self._writes:
            await tx.fetch(query, **row)

    def _pass_on(self, batch: Batch, room: _Room) -> None:
        for run_id in room.run_ids:
            for said in batch.said.get(run_id, ()):
                self._say(batch, room, said, run_id, f"run:{run_id}")
            run = batch.after.get(run_id)
            if run is not None and not run.terminal:
                continue
            if run_id == room.busy:
                room.busy = None
                self._writes.append((q.DELETE_BUSY, {"thread_id": room.thread_id}))
            else:
                room.line = [each for each in room.line if each.run_id != run_id]
                self._writes.append((q.DELETE_ENQUEUED, {"thread_id": room.thread_id, "run_id": run_id}))
        if room.busy is None and room.line:
            first = room.line.pop(0)
            self._give(batch, room, first, listed=True)
            cause = Cause(THREADS, "its turn has come")
            batch.decide(c.Wake(run_id=first.run_id, on="dependency", key=room.thread_id, cause=cause))
        if room.next_seq != room.written_seq:
            moved = {"next_message_seq": room.next_seq, "updated_at": batch.now}
            self._writes.append((q.MOVE_SEQ, {"row": room.thread_id, **moved}))

    def _give(self, batch: Batch, room: _Room, to: _InLine, *, listed: bool) -> None:
        """Give a run the floor: what it was to say is said now, after all that was said before it."""
        room.busy = to.run_id
        if listed:
            self._writes.append((q.DELETE_ENQUEUED, {"thread_id": room.thread_id, "run_id": to.run_id}))
        row = {"thread_id": room.thread_id, "run_id": to.run_id, "org_id": room.org_id}
        self._writes.append((q.INSERT_BUSY, row))
        if to.message is not None:
            self._say(batch, room, to.message, to.run_id, to.created_by)
        through = {"row": room.thread_id, "row_run": to.run_id, "through_message_seq": room.next_seq - 1}
        self._writes.append((q.SET_THROUGH, through))

    def _say(self, batch: Batch, room: _Room, said: Said, run_id: str, by: str) -> None:
        row = {
            "thread_id": room.thread_id,
            "seq": room.next_seq,
            "message_id": said.message_id,
            "org_id": room.org_id,
            "project_id": room.project_id,
            "role": said.role,
            "sealed": said.sealed,
            "hidden": int(said.hidden),
            "run_id": run_id,
            "created_at": batch.now,
            "created_by": by,
            "deleted_at": None,
        }
        self._writes.append((q.INSERT_MESSAGE, row))
        room.next_seq += 1

    def _take_back(self, batch: Batch, room: _Room) -> None:
        """Take back the last turn of the assistant, if it had the last word. Raises `Conflict` in an empty thread."""
        last = room.last
        if last is None:
            raise Conflict("the thread has no message to answer again", code="threads.nothing_to_retry")
        gone = {"deleted_at": batch.now, "empty": b""}
        if last.role == "user":
            return
        if last.run_id is None:
            self._writes.append((q.TAKE_BACK_ONE, {"row": last.message_id, **gone}))
        else:
            self._writes.append((q.TAKE_BACK, {"row": room.thread_id, "row_run": last.run_id, **gone}))
        room.last = None

    def _ask(self, batch: Batch, run_id: str) -> None:
        """Keep the list of what is asked as the runs are: what a run asks, it asks until it waits no more."""
        new, old = batch.after.get(run_id), batch.before.get(run_id)
        if new is None:
            return
        was, asks = _request(old), _request(new)
        if was == asks:
            return
        if was is not None:
            self._writes.append((q.DELETE_PENDING, {"run_id": run_id}))
        told = [event for event in batch.events.get(run_id, ()) if event.type == "run.waiting_for_input"]
        if asks is None or not told or new.spec.agent is None:
            return
        row = {
            "run_id": run_id,
            "org_id": new.spec.org_id,
            "project_id": new.spec.project_id,
            "thread_id": new.spec.agent.thread_id,
            "request_id": asks,
            "asked": told[-1].data,
            "created_at": batch.now,
        }
        self._writes.append((q.INSERT_PENDING, row))


def _request(run: Run | None) -> str | None:
    return run.wait.key if run is not None and run.wait is not None and run.wait.on == "input" else None
