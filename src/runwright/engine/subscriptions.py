"""The verbs of webhook subscriptions: create, find, change, rotate the secret, delete; switch off one that fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple, TypeVar

import msgspec

from runwright import ids
from runwright.domain.accounts import Project
from runwright.domain.addresses import url_problem
from runwright.domain.tenancy import Actor
from runwright.domain.webhooks import ENDS, EVENT_TYPES, Subscription
from runwright.engine.signing_secrets import GRACE_S, Rotated, SigningSecrets
from runwright.errors import FieldError, InvalidRequest, NotFound, QuotaExceeded
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import webhooks as q
from runwright.store.queries.shapes import Slice, read

T = TypeVar("T")

FAILED_TOO_LONG = "its deliveries have failed for too long"
DELETED = "the subscription was deleted"


class Subscribed(NamedTuple):
    """A subscription after a verb, with the signing secret if the verb made one: it is shown this once."""

    subscription: Subscription
    secret: str | None = None


class Subscriptions:
    """Make, change and delete subscriptions; `tell` is called after each change.

    `allow_private` lets their addresses lie in private networks; a project has at most `most` of them.
    """

    def __init__(
        self,
        store: Store,
        secrets: SigningSecrets,
        idempotency_ttl_us: int,
        *,
        allow_private: bool,
        most: int,
        tell: Callable[[], None],
    ) -> None:
        self._store = store
        self._secrets = secrets
        self._ttl_us = idempotency_ttl_us
        self._allow_private = allow_private
        self._most = most
        self._tell = tell

    async def create(
        self, actor: Actor, project: Project, fields: Mapping[str, Any], idempotency_key: str | None = None
    ) -> Made[Subscribed]:
        """Make a subscription with a secret. A repeated request finds it without the secret.

        Raises `InvalidRequest`, and `QuotaExceeded` for a project that has as many as it may.
        """
        actor.require("webhooks:write")
        self._check(fields)
        key = key_for(project.project_id, "webhooks.create", idempotency_key, dict(fields))

        async def find(tx: Transaction, subscription_id: str) -> Subscribed | None:
            found = await tx.fetch(q.SUBSCRIPTION, subscription_id=subscription_id)
            return Subscribed(q.subscription(found[0])) if found else None

        async def make(tx: Transaction) -> tuple[str, Subscribed]:
            if (await tx.fetch(q.COUNT, project_id=project.project_id))[0][0] >= self._most:
                most = f"A project has at most {self._most} subscriptions (RUNWRIGHT_WEBHOOK_SUBSCRIPTIONS_MAX)"
                raise QuotaExceeded(f"{most}; delete one that is not needed.")
            made = Subscription(
                subscription_id=ids.new_id("whs", tx.now),
                org_id=project.org_id,
                project_id=project.project_id,
                url=fields["url"],
                event_types=fields.get("event_types", ENDS),
                description=fields.get("description", ""),
                enabled=fields.get("enabled", True),
                created_at=tx.now,
                created_by=actor.label,
                updated_at=tx.now,
            )
            await tx.fetch(q.INSERT_SUBSCRIPTION, **q.row(made))
            secret = await self._secrets.make(tx, project.project_id, made.subscription_id)
            data = {"event_types": list(made.event_types), "enabled": made.enabled}
            await audit.append(tx, made.org_id, actor.label, "webhook.created", made.subscription_id, data)
            return made.subscription_id, Subscribed(made, secret)

        async def work(tx: Transaction) -> Made[Subscribed]:
            await audit.lock(tx, project.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._changing(work)

    async def get(self, actor: Actor, subscription_id: str) -> Subscription:
        """Return a subscription. Raises `NotFound` for what is not the caller's to see."""
        actor.require("webhooks:write")
        found = await self._store.within(actor.org_id).fetch(q.SUBSCRIPTION, subscription_id=subscription_id)
        return _required(actor, q.subscription(found[0]) if found else None, subscription_id)

    async def page(self, actor: Actor, project: Project | None, part: Slice) -> list[Subscription]:
        """Return the subscriptions of a project, or without one all that the caller may see."""
        actor.require("webhooks:write")
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is None:
            found = await read(own, q.SUBSCRIPTIONS, part, org_id=actor.org_id)
        else:
            found = await read(own, q.SUBSCRIPTIONS_OF_PROJECT, part, org_id=actor.org_id, project_id=project_id)
        return [q.subscription(row) for row in found]

    async def update(self, actor: Actor, subscription_id: str, changes: Mapping[str, Any]) -> Subscription:
        """Change the named fields. One that is enabled again begins anew: what failed before does not count."""
        actor.require("webhooks:write")
        self._check(changes)

        async def work(tx: Transaction) -> Subscription:
            old = await self._locked(tx, actor, subscription_id)
            new = msgspec.structs.replace(old, **changes)
            if new == old:
                return old
            new = msgspec.structs.replace(new, updated_at=tx.now)
            if "enabled" in changes:
                # Switched off by whoever asks now, or on: either way the server's own reason is gone.
                new = msgspec.structs.replace(new, failing_since=None, disabled_at=None, disabled_reason=None)
            await _set(tx, new)
            data = {"changed": [name for name in sorted(changes) if getattr(new, name) != getattr(old, name)]}
            await audit.append(tx, old.org_id, actor.label, "webhook.updated", subscription_id, data)
            return new

        return await self._changing(work)

    async def rotate(
        self, actor: Actor, subscription_id: str, grace_s: float = GRACE_S, idempotency_key: str | None = None
    ) -> Made[Rotated]:
        """Give a subscription a new secret; for `grace_s` seconds the old one signs beside it.

        A repeated request gets no secret.
        """
        actor.require("webhooks:write")
        key = key_for(subscription_id, "webhooks.rotate_secret", idempotency_key, grace_s)

        async def find(tx: Transaction, found: str) -> Rotated:
            return Rotated(found, None, None)

        async def work(tx: Transaction) -> Made[Rotated]:
            old = await self._locked(tx, actor, subscription_id)

            async def make() -> tuple[str, Rotated]:
                grace_us = round(grace_s * 1e6)
                secret, until = await self._secrets.replace(tx, old.project_id, subscription_id, grace_us)
                data = {"previous_until": until}
                await audit.append(tx, old.org_id, actor.label, "webhook.secret_rotated", subscription_id, data)
                return subscription_id, Rotated(subscription_id, secret, until)

            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), make)

        return await self._store.write(work)

    async def delete(self, actor: Actor, subscription_id: str) -> None:
        """Delete a subscription; what was not delivered is given up, the log of its deliveries stays."""
        actor.require("webhooks:write")

        async def work(tx: Transaction) -> None:
            old = await self._locked(tx, actor, subscription_id)
            await tx.fetch(q.DELETE_SUBSCRIPTION, subscription_id=subscription_id)
            await tx.fetch(q.END_OF_SOURCE, row=subscription_id, error=DELETED, ended_at=tx.now)
            await self._secrets.forget(tx, subscription_id)
            await audit.append(tx, old.org_id, actor.label, "webhook.deleted", subscription_id)

        await self._changing(work)

    async def disable_failing(self, subscription: Subscription, since: int) -> None:
        """Switch off a subscription that has failed since then, unless somebody changed it or it works again."""

        async def work(tx: Transaction) -> bool:
            await audit.lock(tx, subscription.org_id)
            found = await tx.fetch(q.SUBSCRIPTION, subscription_id=subscription.subscription_id)
            old = q.subscription(found[0]) if found else None
            if old is None or not old.enabled or old.failing_since != since:
                return False
            reason = FAILED_TOO_LONG
            await _set(tx, msgspec.structs.replace(old, enabled=False, disabled_at=tx.now, disabled_reason=reason))
            data = {"failing_since": since}
            await audit.append(tx, old.org_id, "system:webhooks", "webhook.disabled", old.subscription_id, data)
            return True

        if await self._store.write(work):
            self._tell()

    async def _locked(self, tx: Transaction, actor: Actor, subscription_id: str) -> Subscription:
        await audit.lock(tx, actor.org_id)
        found = await tx.fetch(q.SUBSCRIPTION, subscription_id=subscription_id)
        return _required(actor, q.subscription(found[0]) if found else None, subscription_id)

    async def _changing(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        try:
            return await self._store.write(work)
        finally:
            # Also when the caller went away meanwhile: the transaction may have been written all the same.
            self._tell()

    def _check(self, fields: Mapping[str, Any]) -> None:
        wrong = [
            FieldError(f"event_types[{place}]", "is no type of event; there are " + ", ".join(EVENT_TYPES))
            for place, name in enumerate(fields.get("event_types", ()))
            if name not in EVENT_TYPES
        ]
        problem = url_problem(fields["url"], allow_private=self._allow_private) if "url" in fields else None
        if problem is not None:
            wrong.append(FieldError("url", problem))
        if wrong:
            raise InvalidRequest(fields=wrong)


async def _set(tx: Transaction, kept: Subscription) -> None:
    row = q.row(kept)
    fixed = ("subscription_id", "org_id", "project_id", "created_at", "created_by")
    await tx.fetch(
        q.SET_SUBSCRIPTION, row=kept.subscription_id, **{name: row[name] for name in row if name not in fixed}
    )


def _required(actor: Actor, found: Subscription | None, subscription_id: str) -> Subscription:
    if found is None or not actor.sees(found.org_id, found.project_id):
        raise NotFound("subscription", subscription_id)
    return found
