"""Where the runs of http jobs are posted to: the endpoint of the version that a run pinned, and who signs for it."""

from __future__ import annotations

import msgspec

from runwright.domain.job import JobDefinition
from runwright.domain.run import Run
from runwright.engine.signing_secrets import SigningSecrets
from runwright.errors import NotFound
from runwright.store.base import Store
from runwright.store.queries import jobs as q

CACHE_MAX = 10_000


class Endpoint(msgspec.Struct, frozen=True):
    """What a dispatch needs to know of a job; `secrets` sign, newest first."""

    url: str
    fallback_url: str | None
    retry_on: tuple[int, ...]
    secrets: tuple[str, ...]


class Endpoints:
    """Finds the endpoints of runs. Versions never change and are remembered; secrets are read each time."""

    def __init__(self, store: Store, secrets: SigningSecrets) -> None:
        self._store = store
        self._secrets = secrets
        self._versions: dict[str, JobDefinition] = {}

    async def find(self, run: Run, now: int) -> Endpoint:
        """Return the endpoint of a run at `now` (µs). Raises `NotFound` for a run of no version with an endpoint."""
        spec = run.spec
        definition = await self._definition(spec.job_version_id or "")
        if definition is None or definition.endpoint_url is None or spec.job_id is None:
            raise NotFound("version", spec.job_version_id)
        secrets = await self._secrets.signing(spec.project_id, spec.job_id, now)
        return Endpoint(definition.endpoint_url, definition.fallback_endpoint_url, definition.retry_on, secrets)

    async def _definition(self, job_version_id: str) -> JobDefinition | None:
        known = self._versions.get(job_version_id)
        if known is not None:
            return known
        rows = await self._store.fetch(q.VERSION, job_version_id=job_version_id)
        if not rows:
            return None
        if len(self._versions) >= CACHE_MAX:
            self._versions.clear()
        definition = self._versions[job_version_id] = q.version(rows[0]).definition
        return definition
