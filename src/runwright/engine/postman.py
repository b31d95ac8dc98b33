"""Send the messages of webhooks: on every server, each by one of them at a time, until they arrive or are given up.

A claim moves a delivery's next attempt behind the longest time that sending may take, and commits, before anything is
sent. So nobody else sends it meanwhile, and a server that is killed in the middle leaves it to whoever looks then: a
message is sent at least once, always under the same id. What came of an attempt is written only where no later one has
begun.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from random import Random
from typing import NamedTuple, Protocol

import msgspec

from runwright.clock import Clock
from runwright.domain.job import JobDefinition
from runwright.domain.redaction import RedactedText
from runwright.domain.retry import RetryPolicy
from runwright.domain.signing import signature_headers
from runwright.domain.webhooks import PING, Delivery, Sent, Subscription, ping_message, rest_us, run_message
from runwright.engine.deliveries import save
from runwright.engine.loops import Loop
from runwright.engine.redactors import Redactors
from runwright.engine.signing_secrets import SigningSecrets
from runwright.engine.subscriptions import Subscriptions
from runwright.engine.watched import Watched
from runwright.errors import Error
from runwright.store.base import Store, Transaction
from runwright.store.queries import jobs as jobs_sql
from runwright.store.queries import webhooks as q
from runwright.telemetry import observe, report

MARGIN_S = 5.0
"""How much longer than the longest attempt a claim holds: time to write down what came of it."""


class Courier(Protocol):
    """Carries a message over the network."""

    async def send(self, url: str, headers: dict[str, str], body: bytes, timeout_s: float) -> Sent:
        """Post a body, wait at most so long, and return what came of it, whatever happened."""


class PostTerms(msgspec.Struct, frozen=True, kw_only=True):
    """The bounds of sending: messages at a time, of one address, the time of one attempt, and how it goes on."""

    slots: int
    slots_per_source: int
    timeout_s: float
    policy: RetryPolicy
    disable_us: int
    poll_s: float


class _Letter(NamedTuple):
    """A message ready to be sent."""

    url: str
    secrets: tuple[str, ...]
    body: bytes
    subscription: Subscription | None


class Postman:
    """Looks what is due every `poll_s`, and when woken; sends up to `slots` messages at once."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        courier: Courier,
        secrets: SigningSecrets,
        subscriptions: Subscriptions,
        redactors: Redactors,
        watched: Watched,
        terms: PostTerms,
    ) -> None:
        self._store = store
        self._clock = clock
        self._courier = courier
        self._secrets = secrets
        self._subscriptions = subscriptions
        self._redactors = redactors
        self._watched = watched
        self._terms = terms
        self._random = Random()
        self._sending: dict[asyncio.Task[None], str] = {}
        self.loop = Loop("webhooks", self._once, clock, every_s=terms.poll_s)

    async def idle(self) -> None:
        """Return when what is being sent has arrived, or not."""
        while self._sending:
            await asyncio.wait(list(self._sending))

    async def _once(self) -> None:
        if not self._watched.known:
            await self._learn()
        busy, source = Counter(self._sending.values()), ""
        while len(self._sending) < self._terms.slots:
            found = (await self._store.fetch(q.NEXT_SOURCE, after=source))[0][0]
            if found is None:
                break
            source = found
            room = min(self._terms.slots - len(self._sending), self._terms.slots_per_source - busy[source])
            due_at = (await self._store.fetch(q.FIRST_DUE, source=source))[0][0]
            if room <= 0 or due_at is None or due_at > self._clock.now():
                continue
            for delivery in await self._claim(source, room):
                task = asyncio.create_task(self._send(delivery), name="webhook")
                self._sending[task] = source
                task.add_done_callback(self._done)

    async def _learn(self) -> None:
        generation = self._watched.generation
        found = [q.subscription(row) for row in await self._store.fetch(q.ENABLED)]
        self._watched.learn((each.project_id for each in found if each.steps), generation)

    def _done(self, task: asyncio.Task[None]) -> None:
        source = self._sending.pop(task)
        if task.cancelled():
            return
        failure = task.exception()
        if failure is not None:  # its claim runs out, and it is sent again
            report("webhook.broken", source=source, error=repr(failure))
        self.loop.wake()

    async def _claim(self, source: str, room: int) -> list[Delivery]:
        hold_us = int((self._terms.timeout_s + MARGIN_S) * 1e6)

        async def work(tx: Transaction) -> list[Delivery]:
            claimed = []
            for row in await tx.fetch(q.DUE, source=source, at=tx.now, limit=room):
                found = q.delivery(row)
                new = msgspec.structs.replace(
                    found, attempt=found.attempt + 1, next_attempt_at=tx.now + hold_us, last_attempt_at=tx.now
                )
                await save(tx, new)
                claimed.append(new)
            return claimed

        return await self._store.write(work)

    async def _send(self, delivery: Delivery) -> None:
        try:
            letter = await self._letter(delivery)
        except Error as broken:
            if broken.retryable:
                raise
            letter = broken.detail
        if isinstance(letter, str):
            await self._record(delivery, None, Sent(None, letter, retryable=False))
            return
        message = delivery.event_id
        headers = signature_headers(letter.secrets, message, self._clock.now() // 1_000_000, letter.body)
        sent = await self._courier.send(letter.url, headers, letter.body, self._terms.timeout_s)
        await self._record(delivery, letter.subscription, sent)

    async def _letter(self, delivery: Delivery) -> _Letter | str:
        """Return what is to be sent, or why there is nothing to be sent any more."""
        subscription, url = None, None
        if delivery.source.startswith("whs_"):
            found = await self._store.fetch(q.SUBSCRIPTION, subscription_id=delivery.source)
            if not found:
                return "the subscription was deleted"
            subscription = q.subscription(found[0])
            url = subscription.url
            if not subscription.enabled and delivery.event_type != PING:
                return "the subscription is disabled"
        secrets = await self._secrets.signing(delivery.project_id, delivery.source, self._clock.now())
        if delivery.event_type == PING or delivery.run_id is None:
            return _Letter(url or "", secrets, ping_message(delivery), subscription)
        record = await self._store.record(delivery.run_id)
        if record is None or record.pruned_at is not None:
            return "the run is gone"
        if record.erased_at is not None:
            return "the data of the run were erased"
        if url is None:
            definition = await self._definition(record.run.spec.job_version_id)
            url = None if definition is None else definition.webhook_url
        if url is None or not secrets:
            return "the job was deleted"
        events = await self._store.events(delivery.run_id, delivery.seq - 1, 1)
        if not events:
            return "the run is gone"
        return _Letter(url, secrets, run_message(delivery, record.run, events[0]), subscription)

    async def _definition(self, job_version_id: str | None) -> JobDefinition | None:
        rows = await self._store.fetch(jobs_sql.VERSION, job_version_id=job_version_id or "")
        return jobs_sql.version(rows[0]).definition if rows else None

    async def _record(self, delivery: Delivery, subscription: Subscription | None, sent: Sent) -> None:
        """Write down what came of an attempt, unless a later one has begun."""
        said = self._redactors.of(delivery.project_id).text(sent.said) if sent.said else None

        async def work(tx: Transaction) -> tuple[str, int | None] | None:
            rows = await tx.fetch(q.LOCK_DELIVERY, delivery_id=delivery.delivery_id)
            stands = q.delivery(rows[0]) if rows else None
            if stands is None or stands.attempt != delivery.attempt or stands.outcome != "pending":
                return None
            new = self._after(delivery, sent, said, tx.now)
            await save(tx, new)
            since = None
            if subscription is not None and sent.arrived:
                await tx.fetch(q.WORKING, row=subscription.subscription_id)
            elif subscription is not None and delivery.event_type != PING:
                since = (await tx.fetch(q.FAILING, row=subscription.subscription_id, at=tx.now))[0][0]
            return new.outcome, since

        done = await self._store.write(work)
        if done is None:
            return
        outcome, since = done
        observe("webhook.sent", result="again" if outcome == "pending" else outcome)
        if subscription is not None and since is not None and self._clock.now() - since >= self._terms.disable_us:
            await self._subscriptions.disable_failing(subscription, since)
            report("webhook.disabled", subscription_id=subscription.subscription_id, failing_since=since)

    def _after(self, delivery: Delivery, sent: Sent, said: RedactedText | None, now: int) -> Delivery:
        change = msgspec.structs.replace(delivery, response_status=sent.status, error=None if sent.arrived else said)
        if sent.arrived:
            return msgspec.structs.replace(change, outcome="delivered", next_attempt_at=None, ended_at=now)
        rest = rest_us(self._terms.policy, delivery, sent, self._random.random())
        if rest is None:
            return msgspec.structs.replace(change, outcome="failed", next_attempt_at=None, ended_at=now)
        return msgspec.structs.replace(change, next_attempt_at=now + rest)
