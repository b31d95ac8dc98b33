"""Tell the server what attempts write, and how they end: many in one request, each in its own order, none twice.

One sender at a time: while a request is under way the next one grows. Each attempt numbers what it sends, so that a
request whose answer was lost can be sent again: the same under the same number, and what came since under the next.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from runwright.client.asking import told
from runwright.client.backoff import Backoff
from runwright.client.errors import ApiError, ClientError, LeaseLost, StopKind
from runwright.client.session import Draft, Key, StopSignal, Value
from runwright.client.transport import Transport

FLUSH_S = 0.025
HURRY_BYTES = 65_536
ITEMS_MAX = 200
BUFFER_MAX_BYTES = 8 << 20
BACKOFF = Backoff(initial_s=0.05, max_s=1.0)
FOR_NOW = frozenset({401, 403, 408, 425, 429, 502, 503, 504})
"""Refusals that say nothing of what was sent: it is sent again for as long as the lease holds."""
OVER = frozenset({"runs.stale_lease", "runs.ended", "runs.not_found", "workers.not_found", "not_found"})
"""What the server says of a lease that is over."""


class _Saving:
    """Events, and the values that they tell of, with somebody who waits for them to be durable, or nobody."""

    def __init__(self, parts: dict[str, Any], size: int, done: asyncio.Future[None] | None) -> None:
        self.parts = parts
        self.size = size
        self.done = done

    def answer(self, why: BaseException | None = None) -> None:
        """Let whoever waits go on."""
        if self.done is None or self.done.done():
            return
        if why is None:
            self.done.set_result(None)
        else:
            self.done.set_exception(why)


class Log:
    """What one attempt has not told yet. `lost` is set once the server says that its lease is over.

    The first `unsure` savings were sent under the next number, and nobody knows whether they arrived.
    """

    def __init__(self, run_id: str, lease_epoch: int, stop: StopSignal) -> None:
        self.run_id = run_id
        self.lease_epoch = lease_epoch
        self.stop = stop
        self.number = 0
        self.unsure = 0
        self.savings: list[_Saving] = []
        self.outcome: dict[str, Any] | None = None
        self.bytes = 0
        self.one_by_one = False
        self.lost = asyncio.Event()
        self.ended = asyncio.Event()

    def require_lease(self) -> None:
        """Raise `LeaseLost` when the lease is over."""
        if self.lost.is_set():
            raise LeaseLost(f"The lease of run {self.run_id} is over.")

    def add(self, saving: _Saving) -> None:
        """Keep what is to be told; events that nobody waits for join those before them."""
        last = self.savings[-1] if self.savings else None
        alone = saving.done is None and saving.parts.keys() == {"events"}
        joins = last is not None and last.done is None and last.parts.keys() == {"events"}
        if last is not None and alone and joins and len(self.savings) > self.unsure:
            last.parts["events"] += saving.parts["events"]
            last.size += saving.size
        else:
            self.savings.append(saving)
        self.bytes += saving.size

    def give_up(self, why: str = "its lease is over") -> None:
        """End every wait: nothing of this attempt has an effect any more."""
        self.lost.set()
        self.ended.set()
        for saving in self.savings:
            saving.answer(LeaseLost(f"Run {self.run_id}: {why}."))
        self.savings = []


class Reporter:
    """Sends the logs of a worker's attempts. What is not answered within `patience_s` is sent again."""

    def __init__(self, transport: Transport, worker_id: str, *, backoff: Backoff = BACKOFF) -> None:
        self.patience_s = 15.0
        self.failed = False
        self._transport = transport
        self._worker_id = worker_id
        self._backoff = backoff
        self._dirty: dict[Log, None] = {}
        self._hurry = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def emit(self, log: Log, draft: Draft) -> None:
        """Tell an event soon. Raises `LeaseLost` when the lease is over, and `ClientError` when too much waits."""
        log.require_lease()
        if log.bytes > BUFFER_MAX_BYTES:
            raise ClientError(f"More than {BUFFER_MAX_BYTES} bytes of events wait to be sent; write less at once.")
        size = len(msgspec.json.encode(draft))
        log.add(_Saving({"events": [msgspec.to_builtins(draft)]}, size, None))
        self.wake(log, hurry=log.bytes > HURRY_BYTES)

    async def save(
        self,
        log: Log,
        drafts: Sequence[Draft],
        values: Sequence[Value] = (),
        removed: Sequence[Key] = (),
        annotations: Mapping[str, str] | None = None,
    ) -> None:
        """Tell events and values; they are durable when it returns. Raises `LeaseLost`, and `ApiError` if refused."""
        log.require_lease()
        parts = {
            "events": [msgspec.to_builtins(draft) for draft in drafts],
            "values": [msgspec.to_builtins(value) for value in values],
            "removed": [{"kind": kind, "key": key} for kind, key in removed],
            "annotations": dict(annotations or {}),
        }
        told = {name: part for name, part in parts.items() if part}
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        log.add(_Saving(told, len(msgspec.json.encode(told)), done))
        self.wake(log, hurry=True)
        await done

    async def finish(self, log: Log, outcome: dict[str, Any]) -> None:
        """Tell how an attempt ended, with the last of its events; return when the server knows or the lease is over."""
        log.outcome = outcome
        self.wake(log, hurry=True)
        await log.ended.wait()

    def wake(self, log: Log, *, hurry: bool) -> None:
        """Have a log sent: now, or with others in a moment."""
        self._dirty[log] = None
        if hurry:
            self._hurry.set()
        if self._task is None:
            self._task = asyncio.create_task(self._send_all(), name="reporter")

    async def _send_all(self) -> None:
        failures = 0
        try:
            while self._dirty:
                self.failed = False
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._hurry.wait(), FLUSH_S)
                self._hurry.clear()
                logs = list(self._dirty)[:ITEMS_MAX]
                for log in logs:
                    del self._dirty[log]
                if self._dirty:
                    self._hurry.set()
                items = [_Item(log) for log in logs if not log.lost.is_set()]
                await asyncio.gather(
                    self._send("append", [item for item in items if "outcome" not in item.body]),
                    self._send("finish", [item for item in items if "outcome" in item.body]),
                )
                failures = failures + 1 if self.failed else 0
                if failures:
                    await asyncio.sleep(self._backoff.delay_s(failures))
        finally:
            self._task = None

    async def _send(self, what: str, items: Sequence[_Item]) -> None:
        if not items:
            return
        body = {"worker_id": self._worker_id, "items": [item.body for item in items]}
        try:
            answer = await told(_Results, self._transport, f"/v1/worker/{what}", body, within_s=self.patience_s)
        except ApiError as refused:
            if refused.status in FOR_NOW:
                for item in items:
                    item.again(self)
            elif len(items) > 1 and refused.status in (413, 422):  # one of them: apart, it fails alone
                for item in items:
                    await self._send(what, [item])
            else:
                for item in items:
                    item.refused(refused, self)
        except ClientError:
            for item in items:  # the lease tells how long to go on trying
                item.again(self)
        else:
            if [result.run_id for result in answer.results] != [item.log.run_id for item in items]:
                for item in items:  # something answered that is not the server
                    item.again(self)
                return
            for item, result in zip(items, answer.results, strict=True):
                item.answered(result, self)


class _Result(msgspec.Struct):
    run_id: str
    code: str | None = None
    error: str | None = None
    retryable: bool = False
    stop: StopKind | None = None


class _Results(msgspec.Struct):
    results: list[_Result]


class _Item:
    """What one request carries of one log; it is put back whole when it has to be sent again."""

    def __init__(self, log: Log) -> None:
        self.log = log
        count = log.unsure or (1 if log.one_by_one else len(log.savings))
        self.savings, log.savings, log.unsure = log.savings[:count], log.savings[count:], 0
        log.bytes -= sum(saving.size for saving in self.savings)
        self.body: dict[str, Any] = {"run_id": log.run_id, "lease_epoch": log.lease_epoch}
        self.body["savings"] = [saving.parts for saving in self.savings]
        self.body["number"] = log.number + 1
        if log.outcome is not None and not log.savings:
            self.body["outcome"] = log.outcome

    def answered(self, result: _Result, reporter: Reporter) -> None:
        """Take the server's answer."""
        log = self.log
        if result.stop is not None:
            log.stop.request(result.stop)
        if result.code is None:
            log.number += 1
            for saving in self.savings:
                saving.answer()
            if "outcome" in self.body:
                log.ended.set()
            else:
                self._go_on(reporter)
        elif result.retryable:
            self.again(reporter)
        else:
            self.refused(ApiError(409, result.code, result.error or result.code), reporter)

    def refused(self, why: ApiError, reporter: Reporter) -> None:
        """Give the attempt up when its lease is over; else find what was refused, and let whoever wrote it know."""
        log = self.log
        if why.code in OVER:
            self._put_back()
            log.give_up(why.message)
        elif len(self.savings) > 1 or (self.savings and "outcome" in self.body):
            log.one_by_one = True
            self._again(reporter)
        elif "outcome" in self.body and self.body["outcome"]["status"] == "completed":
            log.outcome = {
                "status": "failed",
                "error_class": "ResultRefused",
                "message": why.message[:4096],
                "retryable": False,
                "code": why.code,
            }
            self._again(reporter)
        elif self.savings and self.savings[0].done is not None:
            self.savings[0].answer(why)
            self._go_on(reporter)
        else:  # nobody is there to be told: the attempt cannot go on as if it had been written
            self._put_back()
            log.give_up(why.message)

    def _go_on(self, reporter: Reporter) -> None:
        if self.log.savings or self.log.outcome is not None:
            reporter.wake(self.log, hurry=True)
        else:
            self.log.one_by_one = False

    def _put_back(self) -> None:
        self.log.savings = [*self.savings, *self.log.savings]
        self.log.bytes += sum(saving.size for saving in self.savings)

    def again(self, reporter: Reporter) -> None:
        """Send the same again: it may have arrived, and only its number tells."""
        reporter.failed = True
        self._again(reporter, unsure=len(self.savings))

    def _again(self, reporter: Reporter, unsure: int = 0) -> None:
        self._put_back()
        self.log.unsure = unsure
        if self.log.lost.is_set():
            self.log.give_up()
        else:
            reporter.wake(self.log, hurry=False)
