"""The verbs of secrets: create, replace, find, delete. A value goes in and comes out in attempts alone."""

from __future__ import annotations

import msgspec

from runwright import ids
from runwright.clock import Clock
from runwright.domain.accounts import Project
from runwright.domain.secrets import EVERYWHERE, Environment, Secret
from runwright.domain.tenancy import Actor
from runwright.engine.provisions import Announced, Provisions
from runwright.errors import AlreadyExists, NotFound, QuotaExceeded
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import secrets as q
from runwright.store.queries.shapes import Slice, read


class Secrets:
    """Make, replace and delete the secrets of projects and environments; a project has at most `most` of them.

    What was replaced or deleted stays known to redaction: an attempt that was given it may still print it.
    """

    def __init__(
        self, store: Store, provisions: Provisions, clock: Clock, idempotency_ttl_us: int, *, most: int
    ) -> None:
        self._store = store
        self._provisions = provisions
        self._clock = clock
        self._ttl_us = idempotency_ttl_us
        self._most = most

    async def create(
        self,
        actor: Actor,
        project: Project,
        environment: Environment | None,
        name: str,
        value: str,
        idempotency_key: str | None = None,
    ) -> Made[Secret]:
        """Make a secret of a project, or of one of its environments; attempts that begin from now on are given it.

        Raises `AlreadyExists` for a name that is taken there, and `QuotaExceeded`.
        """
        actor.require("secrets:write")
        place = EVERYWHERE if environment is None else environment.environment_id
        # The fingerprint does not cover the value: a digest of a weak secret would give it away.
        key = key_for(project.project_id, "secrets.create", idempotency_key, [place, name])
        if key is None:
            own = self._store.within(actor.org_id)
            self._free(await own.fetch(q.SECRET_BY_NAME, **_named(project.project_id, place, name)), name)
        secret_id = ids.new_id("sec", self._clock.now())
        announced = await self.announce(project.org_id, project.project_id, secret_id, value)

        async def find(tx: Transaction, found: str) -> Secret | None:
            rows = await tx.fetch(q.SECRET, secret_id=found)
            return q.secret(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Secret]:
            self._free(await tx.fetch(q.SECRET_BY_NAME, **_named(project.project_id, place, name)), name)
            if environment is not None and not await tx.fetch(q.ENVIRONMENT, environment_id=place):
                raise NotFound("environment", place)
            if (await tx.fetch(q.COUNT, project_id=project.project_id))[0][0] >= self._most:
                raise QuotaExceeded(f"A project has at most {self._most} secrets (RUNWRIGHT_SECRETS_MAX); delete one.")
            made = Secret(
                secret_id=secret_id,
                org_id=project.org_id,
                project_id=project.project_id,
                environment_id=place,
                name=name,
                version=announced.version,
                created_at=tx.now,
                created_by=actor.label,
                updated_at=tx.now,
            )
            await tx.fetch(q.INSERT_SECRET, **msgspec.structs.asdict(made))
            await _activate(tx, project.project_id, announced)
            await audit.append(tx, made.org_id, actor.label, "secret.created", secret_id, {"name": name})
            return secret_id, made

        async def work(tx: Transaction) -> Made[Secret]:
            await audit.lock(tx, project.org_id)
            return await once(tx, key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._store.write(work)

    async def replace(self, actor: Actor, secret_id: str, value: str) -> Secret:
        """Give a secret a new value, which attempts that begin from now on are given; its `version` grows."""
        actor.require("secrets:write")
        found = await self.get(actor, secret_id)
        announced = await self.announce(found.org_id, found.project_id, secret_id, value)

        async def work(tx: Transaction) -> Secret:
            await audit.lock(tx, actor.org_id)
            rows = await tx.fetch(q.SECRET, secret_id=secret_id)
            old = _required(actor, q.secret(rows[0]) if rows else None, secret_id)
            if old.version >= announced.version:
                return old  # somebody gave it a later one meanwhile
            new = msgspec.structs.replace(old, version=announced.version, updated_at=tx.now)
            await tx.fetch(q.RETIRE, row_project=old.project_id, row=secret_id, retired_at=tx.now)
            await _activate(tx, old.project_id, announced)
            await tx.fetch(q.SET_SECRET, row=secret_id, version=new.version, updated_at=new.updated_at)
            await audit.append(tx, old.org_id, actor.label, "secret.replaced", secret_id, {"version": new.version})
            return new

        return await self._store.write(work)

    async def delete(self, actor: Actor, secret_id: str) -> None:
        """Delete a secret: attempts that begin from now on are not given it."""
        actor.require("secrets:write")

        async def work(tx: Transaction) -> None:
            await audit.lock(tx, actor.org_id)
            rows = await tx.fetch(q.SECRET, secret_id=secret_id)
            await remove(tx, actor, _required(actor, q.secret(rows[0]) if rows else None, secret_id))

        await self._store.write(work)

    async def get(self, actor: Actor, secret_id: str) -> Secret:
        """Return what is known of a secret but its value. Raises `NotFound` for what is not the caller's to see."""
        actor.require("secrets:write")
        rows = await self._store.within(actor.org_id).fetch(q.SECRET, secret_id=secret_id)
        return _required(actor, q.secret(rows[0]) if rows else None, secret_id)

    async def page(
        self, actor: Actor, project: Project | None, environment: Environment | None, part: Slice
    ) -> list[Secret]:
        """Return the secrets of an environment, of a project, or all that the caller may see."""
        actor.require("secrets:write")
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if environment is not None:
            rows = await read(own, q.SECRETS_OF_ENVIRONMENT, part, environment_id=environment.environment_id)
        elif project_id is not None:
            rows = await read(own, q.SECRETS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.SECRETS, part, org_id=actor.org_id)
        return [q.secret(row) for row in rows]

    async def announce(self, org_id: str, project_id: str, secret_id: str, value: str) -> Announced:
        """Store a value that nobody is given yet, and return when every server knows it."""

        async def work(tx: Transaction) -> Announced:
            await audit.lock(tx, org_id)
            last = (await tx.fetch(q.LAST_VALUE, row_project=project_id, row=secret_id))[0][0]
            version = (last or 0) + 1
            sealed = self._provisions.seal(project_id, secret_id, version, value)
            await tx.fetch(
                q.INSERT_VALUE,
                project_id=project_id,
                secret_id=secret_id,
                version=version,
                sealed=sealed,
                created_at=tx.now,
                retired_at=tx.now,  # until it is given out; what never is, is forgotten in time
            )
            if not await tx.fetch(q.MOVE_HEAD, row=project_id):
                await tx.fetch(q.INSERT_HEAD, project_id=project_id, version=1)
            return Announced(secret_id, version)

        try:
            announced = await self._store.write(work)
        finally:
            self._provisions.forget(project_id)
        await self._provisions.ensure([project_id])
        if self._provisions.announce_s:
            await self._clock.sleep(self._provisions.announce_s)
        return announced

    async def activate(self, tx: Transaction, project_id: str, announced: Announced) -> None:
        """Let an announced value be the one that is given out; of a secret, or of what else is kept as one."""
        await _activate(tx, project_id, announced)

    async def retire(self, tx: Transaction, project_id: str, secret_id: str) -> None:
        """Give the values of something out no more; redaction goes on knowing them."""
        await tx.fetch(q.RETIRE, row_project=project_id, row=secret_id, retired_at=tx.now)

    def _free(self, rows: list[tuple[object, ...]], name: str) -> None:
        if rows:
            data = {"secret_id": rows[0][0]}
            raise AlreadyExists(f"There is a secret {name!r} already; give it a new value instead.", data=data)


async def remove(tx: Transaction, actor: Actor, secret: Secret) -> None:
    """Delete a secret, and keep its value from the eyes of readers all the same."""
    await tx.fetch(q.DELETE_SECRET, row=secret.secret_id)
    await tx.fetch(q.RETIRE, row_project=secret.project_id, row=secret.secret_id, retired_at=tx.now)
    await audit.append(tx, secret.org_id, actor.label, "secret.deleted", secret.secret_id, {"name": secret.name})


async def _activate(tx: Transaction, project_id: str, announced: Announced) -> None:
    await tx.fetch(q.ACTIVATE, row_project=project_id, row=announced.secret_id, row_version=announced.version)


def _named(project_id: str, environment_id: str, name: str) -> dict[str, str]:
    return {"project_id": project_id, "environment_id": environment_id, "name": name}


def _required(actor: Actor, found: Secret | None, secret_id: str) -> Secret:
    if found is None or not actor.sees(found.org_id, found.project_id):
        raise NotFound("secret", secret_id)
    return found
