"""The verbs of personas: make a version, find one, list them. A version never changes."""

from __future__ import annotations

from runwright import ids
from runwright.agents.owned import required
from runwright.domain.accounts import Project
from runwright.domain.persona import DEFAULT, Persona, PersonaDefinition, reference
from runwright.domain.tenancy import Actor
from runwright.errors import NotFound
from runwright.store import audit
from runwright.store.base import Store, Transaction
from runwright.store.idempotent import Made, key_for, once
from runwright.store.queries import personas as q
from runwright.store.queries.shapes import Slice, read


class Personas:
    """Make and find personas of projects."""

    def __init__(self, store: Store, idempotency_ttl_us: int) -> None:
        self._store = store
        self._ttl_us = idempotency_ttl_us

    async def create(
        self,
        actor: Actor,
        project: Project,
        key: str,
        definition: PersonaDefinition,
        idempotency_key: str | None = None,
    ) -> Made[Persona]:
        """Make the next version of a persona; a definition that its latest version has makes none."""
        request = [key, definition]
        once_key = key_for(project.project_id, "personas.create", idempotency_key, request)

        async def find(tx: Transaction, ident: str) -> Persona | None:
            rows = await tx.fetch(q.PERSONA_BY_ID, persona_version_id=ident)
            return q.persona(rows[0]) if rows else None

        async def make(tx: Transaction) -> tuple[str, Persona]:
            last = await _latest(tx, project.project_id, key)
            if last is None and key == DEFAULT:
                last = await _founded(tx, project)
            if last is not None and last.definition == definition:
                return last.persona_version_id, last
            made = Persona(
                persona_version_id=ids.new_id("per", tx.now),
                org_id=project.org_id,
                project_id=project.project_id,
                key=key,
                version=1 if last is None else last.version + 1,
                definition=definition,
                created_at=tx.now,
                created_by=actor.label,
            )
            await tx.fetch(q.INSERT_PERSONA, **q.row(made))
            data = {"persona_id": made.persona_id}
            await audit.append(tx, made.org_id, actor.label, "persona.created", made.persona_version_id, data)
            return made.persona_version_id, made

        async def work(tx: Transaction) -> Made[Persona]:
            await audit.lock(tx, project.org_id)
            return await once(tx, once_key, self._ttl_us, lambda target: find(tx, target), lambda: make(tx))

        return await self._store.write(work)

    async def find(self, actor: Actor, project: Project, ident: str) -> Persona:
        """Return `key@version`, or the latest version of a `key`. Raises `NotFound`."""
        named = reference(ident)
        if named is None:
            raise NotFound("persona", ident)
        key, version = named
        own = self._store.within(actor.org_id)
        if version is None:
            rows = await own.fetch(q.LATEST_PERSONA, project_id=project.project_id, key=key)
        else:
            rows = await own.fetch(q.PERSONA, project_id=project.project_id, key=key, version=version)
        if not rows and key == DEFAULT and version in (None, 1):
            return await self._store.write(lambda tx: _founded(tx, project))
        return required(actor, q.persona(rows[0]) if rows else None, "persona", ident)

    async def page(self, actor: Actor, project: Project | None, key: str | None, part: Slice) -> list[Persona]:
        """Return the versions of a persona, of all of a project, or all that the caller may see."""
        project_id = project.project_id if project is not None else actor.project_id
        own = self._store.within(actor.org_id)
        if project_id is not None and key is not None:
            rows = await read(own, q.PERSONAS_OF_KEY, part, project_id=project_id, key=key)
        elif project_id is not None:
            rows = await read(own, q.PERSONAS_OF_PROJECT, part, project_id=project_id)
        else:
            rows = await read(own, q.PERSONAS, part, org_id=actor.org_id)
        return [q.persona(row) for row in rows]


async def _latest(tx: Transaction, project_id: str, key: str) -> Persona | None:
    rows = await tx.fetch(q.LATEST_PERSONA, project_id=project_id, key=key)
    return q.persona(rows[0]) if rows else None


async def _founded(tx: Transaction, project: Project) -> Persona:
    """Return the first persona of a project, which a server of an older version made without one."""
    await audit.lock(tx, project.org_id)
    found = await _latest(tx, project.project_id, DEFAULT)
    if found is not None:
        return found
    await tx.fetch(q.INSERT_PERSONA, **q.row(q.first_persona(project, tx.now)))
    return q.first_persona(project, tx.now)
