"""Where the runs of http jobs are posted to: the endpoint of the version that a run pinned, and who signs for it."""

from __future__ import annotations

import msgspec

from runwright.domain.run import Run
from runwright.engine.definitions import Definitions
from runwright.engine.signing_secrets import SigningSecrets
from runwright.errors import NotFound
from runwright.store.base import Store


class Endpoint(msgspec.Struct, frozen=True):
    """What a dispatch needs to know of a job; `secrets` sign, newest first."""

    url: str
    fallback_url: str | None
    retry_on: tuple[int, ...]
    secrets: tuple[str, ...]


class Endpoints:
    """Finds the endpoints of runs. Versions never change and are remembered; secrets are read each time."""

    def __init__(self, store: Store, secrets: SigningSecrets) -> None:
        self._definitions = Definitions(store)
        self._secrets = secrets

    async def find(self, run: Run, now: int) -> Endpoint:
        """Return the endpoint of a run at `now` (µs). Raises `NotFound` for a run of no version with an endpoint."""
        spec = run.spec
        definition = await self._definitions.find(spec.job_version_id)
        if definition is None or definition.endpoint_url is None or spec.job_id is None:
            raise NotFound("version", spec.job_version_id)
        secrets = await self._secrets.signing(spec.project_id, spec.job_id, now)
        return Endpoint(definition.endpoint_url, definition.fallback_endpoint_url, definition.retry_on, secrets)
