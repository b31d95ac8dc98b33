"""Give attempts what they need beside the payload, and let redaction know it on every server, before anybody has it.

A new value of a secret is announced first: its row is there, and the project's version has grown, but no attempt is
given it. It is given out only after every server must have looked at the version again, since none believes what it
knows for longer than `believed_s`. So whatever an attempt writes, wherever it writes it, meets a redactor that knows
the value: the look there came after the announcement. Values that were replaced stay known.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterable

import msgspec

from runwright.clock import Clock
from runwright.domain.ports import ProjectSealer
from runwright.domain.run import Run
from runwright.domain.secrets import EVERYWHERE, NOTHING, Provision, hidden
from runwright.engine.redactors import Redactors
from runwright.errors import NotFound
from runwright.store.base import Store
from runwright.store.queries import secrets as q


class Provisions:
    """Reads secrets and variables for attempts, and keeps redactors as new as they must be."""

    def __init__(
        self, store: Store, sealer: ProjectSealer, clock: Clock, redactors: Redactors, believed_s: float = math.inf
    ) -> None:
        self._store = store
        self._sealer = sealer
        self._clock = clock
        self._redactors = redactors
        self._believed_s = believed_s
        self._checked_s: dict[str, float] = {}
        self._looking: dict[str, asyncio.Task[None]] = {}

    @property
    def announce_s(self) -> float:
        """Return how long a value must have been there before anybody may have it; 0 where no other server is."""
        return 0.0 if math.isinf(self._believed_s) else self._believed_s * 1.25

    async def ensure(self, project_ids: Iterable[str]) -> None:
        """Have keys, and redactors that know every value that attempts of these projects may have been given."""
        for project_id in project_ids:
            if not self.fresh(project_id):
                await self._look(project_id)

    def fresh(self, project_id: str) -> bool:
        """Tell whether that is so for a project, and its key is at hand: there is nothing to wait for."""
        checked_s = self._checked_s.get(project_id)
        return checked_s is not None and self._clock.monotonic() - checked_s <= self._believed_s

    def forget(self, project_id: str) -> None:
        """Look again before the next use: the secrets of a project were changed here."""
        self._checked_s.pop(project_id, None)
        self._looking.pop(project_id, None)  # a look that is under way may have read what was there before

    async def of(self, run: Run) -> Provision:
        """Return what an attempt of a run is given. Raises `NotFound` where its environment is gone."""
        spec = run.spec
        if not self.fresh(spec.project_id):
            await self._look(spec.project_id)
        if spec.environment is None and not self._redactors.version(spec.project_id):
            return NOTHING
        environment_id, variables = EVERYWHERE, dict[str, str]()
        if spec.environment is not None:
            found = await self._store.fetch(q.ENVIRONMENT_BY_NAME, project_id=spec.project_id, name=spec.environment)
            if not found:
                raise NotFound("environment", spec.environment)
            environment = q.environment(found[0])
            environment_id, variables = environment.environment_id, environment.variables
        if not self._redactors.version(spec.project_id):
            return Provision({}, variables) if variables else NOTHING
        rows = await self._store.fetch(q.GIVEN, project_id=spec.project_id, environment_id=environment_id)
        secrets = {
            name: self.open(spec.project_id, secret_id, version, sealed) for name, _, secret_id, version, sealed in rows
        }
        return Provision(secrets, variables)

    async def named(self, project_id: str, environment: str, name: str) -> str | None:
        """Return a secret of a project for the server's own use, first of all that of an environment, if it is there.

        It is the project's own: whoever is given it must not be led by what a run says.
        """
        await self.ensure([project_id])
        found = await self._store.fetch(q.ENVIRONMENT_BY_NAME, project_id=project_id, name=environment)
        environment_id = q.environment(found[0]).environment_id if found else EVERYWHERE
        rows = await self._store.fetch(q.GIVEN, project_id=project_id, environment_id=environment_id)
        for given, _, secret_id, version, sealed in reversed(rows):  # those of the environment come last
            if given == name:
                return self.open(project_id, secret_id, version, sealed)
        return None

    async def _look(self, project_id: str) -> None:
        """Read what is new; everybody who wants that meanwhile waits for the one answer."""
        looking = self._looking.get(project_id)
        if looking is None:
            looking = self._looking[project_id] = asyncio.create_task(self._read(project_id), name="secrets")
            looking.add_done_callback(_heard)
        await asyncio.shield(looking)

    async def _read(self, project_id: str) -> None:
        try:
            began_s = await self._known_since(project_id)
            if self._looking.get(project_id) is asyncio.current_task():
                self._checked_s[project_id] = began_s
        finally:
            if self._looking.get(project_id) is asyncio.current_task():
                del self._looking[project_id]

    async def _known_since(self, project_id: str) -> float:
        """Know a project's key and secrets, and return when the store was asked for them."""
        began_s = self._clock.monotonic()  # what was read is as old as the question
        await self._sealer.ensure(project_id)
        heads = await self._store.fetch(q.HEAD, project_id=project_id)
        version = heads[0][0] if heads else 0
        if version > self._redactors.version(project_id):
            rows = await self._store.fetch(q.VALUES, project_id=project_id)
            known = [text for row in rows for text in hidden(self.open(project_id, *row))]
            self._redactors.know(project_id, version, known)
        return began_s

    def seal(self, project_id: str, secret_id: str, version: int, value: str) -> bytes:
        """Return a value of a secret as it is stored."""
        return self._sealer.seal(project_id, value.encode(), context(secret_id, version))

    def open(self, project_id: str, secret_id: str, version: int, sealed: bytes) -> str:
        """Return a value of a secret as it was."""
        return self._sealer.open(project_id, sealed, context(secret_id, version)).decode()


def _heard(looking: asyncio.Task[None]) -> None:
    """Hear how a look ended, though everybody who waited for it may be gone."""
    if not looking.cancelled():
        looking.exception()


def context(secret_id: str, version: int) -> str:
    """Return what a value of a secret is bound to."""
    return f"{secret_id}/{version}"


class Announced(msgspec.Struct, frozen=True):
    """A value that every server is about to know, and that nobody is given yet."""

    secret_id: str
    version: int
