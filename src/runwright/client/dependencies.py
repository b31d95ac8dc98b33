"""Calls about what the runs of a job wait for."""

from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.fields import PageOptions
from runwright.client.pages import Pages
from runwright.client.relations import DependencyStatus, DependencyTerms, JobDependency
from runwright.client.transport import Transport


class Dependencies:
    """Let jobs depend on others. A job is named by its id, or by its slug in a project."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        job: str,
        depends_on_job_id: str,
        *,
        project_id: str | None = None,
        idempotency_key: str | None = None,
        **terms: Unpack[DependencyTerms],
    ) -> JobDependency:
        """Let the runs of a job wait for a run of another."""
        body: dict[str, Any] = {"depends_on_job_id": depends_on_job_id, **terms}
        params = {"project_id": project_id}
        return await self._transport.made(JobDependency, _path(job), body, idempotency_key, params=params)

    def list(self, job: str, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[JobDependency]:
        """Return the dependencies of a job, oldest first."""
        return self._transport.pages(JobDependency, _path(job), {"project_id": project_id, **page})

    async def get(self, job: str, dependency_id: str, *, project_id: str | None = None) -> JobDependency:
        """Return a dependency of a job."""
        params = {"project_id": project_id}
        return await self._transport.one(JobDependency, "GET", _path(job, dependency_id), params=params)

    async def update(
        self, job: str, dependency_id: str, *, project_id: str | None = None, **terms: Unpack[DependencyTerms]
    ) -> JobDependency:
        """Change the terms of a dependency; runs that wait are looked at again."""
        path, params = _path(job, dependency_id), {"project_id": project_id}
        return await self._transport.one(JobDependency, "PATCH", path, params=params, body=terms)

    async def delete(self, job: str, dependency_id: str, *, project_id: str | None = None) -> None:
        """Delete a dependency; runs that waited for nothing else go on."""
        await self._transport.send("DELETE", _path(job, dependency_id), params={"project_id": project_id})

    async def status(self, run_id: str) -> DependencyStatus:
        """Return whether a run has what its job depends on."""
        path = f"/v1/runs/{quote(run_id, safe='')}/dependency-status"
        return await self._transport.one(DependencyStatus, "GET", path)


def _path(job: str, dependency_id: str | None = None) -> str:
    path = f"/v1/jobs/{quote(job, safe='')}/dependencies"
    return path if dependency_id is None else f"{path}/{quote(dependency_id, safe='')}"
