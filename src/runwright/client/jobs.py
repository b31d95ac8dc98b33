"""Calls about jobs."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.fields import JobChanges, JobFields, PageOptions, TriggerItem, TriggerOptions
from runwright.client.job_models import BulkTriggered, Job, JobHealth, JobSchedule, JobVersion, RotatedSecret
from runwright.client.json_values import json_copy
from runwright.client.models import MemoryValue, Run
from runwright.client.pages import Pages
from runwright.client.transport import Transport


class Jobs:
    """Create, change and trigger jobs.

    A job is named by its id, or by its slug in a project: the one of `project_id`, else the key's, else `default`.
    """

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, idempotency_key: str | None = None, **fields: Unpack[JobFields]) -> Job:
        """Create a job.

        An http job has its `signing_secret` here alone; when the request had to be sent again and the secret is None,
        `rotate_secret` gives one.
        """
        return await self._transport.made(Job, "/v1/jobs", fields, idempotency_key)

    async def get(self, job: str, *, project_id: str | None = None) -> Job:
        """Return a job."""
        return await self._transport.one(Job, "GET", _path(job), params={"project_id": project_id})

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[Job]:
        """Return the jobs of a project, or all that the caller may see; newest first."""
        return self._transport.pages(Job, "/v1/jobs", {"project_id": project_id, **page})

    async def update(self, job: str, *, project_id: str | None = None, **fields: Unpack[JobChanges]) -> Job:
        """Change a job; every change is a version, and a run keeps the version that it started with."""
        return await self._transport.one(Job, "PATCH", _path(job), params={"project_id": project_id}, body=fields)

    async def put(self, job: str, *, project_id: str | None = None, **fields: Unpack[JobChanges]) -> Job:
        """Have a job of this slug with these fields: made if there is none, changed where they differ."""
        params = {"project_id": project_id}
        return await self._transport.one(Job, "PUT", _path(job), params=params, body=fields, repeatable=True)

    async def schedule(self, job: str, *, count: int | None = None, project_id: str | None = None) -> JobSchedule:
        """Return when a job fires: its schedule, and its next `count` fires. Raises `ApiError` for one without cron."""
        params = {"count": count, "project_id": project_id}
        return await self._transport.one(JobSchedule, "GET", f"{_path(job)}/schedule", params=params)

    async def delete(self, job: str, *, project_id: str | None = None) -> None:
        """Delete a job; its runs stay."""
        await self._transport.send("DELETE", _path(job), params={"project_id": project_id})

    async def rotate_secret(
        self,
        job: str,
        *,
        grace_secs: float | None = None,
        project_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> RotatedSecret:
        """Give an http job a new `signing_secret`; the old one signs beside it for `grace_secs` more.

        Not sent again after a cut: an answer that was lost has taken the secret with it.
        """
        body = {} if grace_secs is None else {"grace_secs": grace_secs}
        path, params = f"{_path(job)}/rotate-secret", {"project_id": project_id}
        return await self._transport.made(RotatedSecret, path, body, idempotency_key, params=params, repeatable=False)

    async def clone(
        self,
        job: str,
        *,
        slug: str | None = None,
        name: str | None = None,
        to_project_id: str | None = None,
        enabled: bool | None = None,
        project_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Make a job of the same definition, called `slug`; an http job's `signing_secret` is shown here alone."""
        given = {"slug": slug, "name": name, "project_id": to_project_id, "enabled": enabled}
        body = {field: value for field, value in given.items() if value is not None}
        params = {"project_id": project_id}
        return await self._transport.made(Job, f"{_path(job)}/clone", body, idempotency_key, params=params)

    async def pause(self, job: str, *, project_id: str | None = None) -> Job:
        """Let a job start nothing any more; runs that exist go on."""
        return await self._verb(job, "pause", project_id)

    async def resume(self, job: str, *, project_id: str | None = None) -> Job:
        """Let a paused job start runs again."""
        return await self._verb(job, "resume", project_id)

    async def _verb(self, job: str, verb: str, project_id: str | None) -> Job:
        path, params = f"{_path(job)}/{verb}", {"project_id": project_id}
        return await self._transport.one(Job, "POST", path, params=params, repeatable=True)

    async def health(self, job: str, *, window: str | None = None, project_id: str | None = None) -> JobHealth:
        """Return what became of a job's runs lately: `window` is such as `30m`, `24h`, `7d`."""
        params = {"window": window, "project_id": project_id}
        return await self._transport.one(JobHealth, "GET", f"{_path(job)}/health", params=params)

    def memory(self, job: str, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[MemoryValue]:
        """Return what the runs of a job keep for each other, by key, redacted."""
        return self._transport.pages(MemoryValue, f"{_path(job)}/memory", {"project_id": project_id, **page})

    async def erase_memory(self, job: str, key: str, *, project_id: str | None = None) -> None:
        """Forget what a job remembers under a key."""
        path = f"{_path(job)}/memory/{quote(key, safe='')}"
        await self._transport.send("DELETE", path, params={"project_id": project_id})

    async def version(self, job: str, job_version_id: str, *, project_id: str | None = None) -> JobVersion:
        """Return one version of a job."""
        path, params = f"{_path(job)}/versions/{quote(job_version_id, safe='')}", {"project_id": project_id}
        return await self._transport.one(JobVersion, "GET", path, params=params)

    def versions(self, job: str, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[JobVersion]:
        """Return the versions of a job, oldest first."""
        return self._transport.pages(JobVersion, f"{_path(job)}/versions", {"project_id": project_id, **page})

    async def trigger(
        self,
        job: str,
        payload: Mapping[str, Any] | None = None,
        *,
        project_id: str | None = None,
        **options: Unpack[TriggerOptions],
    ) -> Run:
        """Start a run. Called once, it makes one run, however often the request must be sent.

        Without an `idempotency_key` of the caller's, one is made up for this call.
        """
        body: dict[str, Any] = dict(options)
        if payload is not None:
            body["payload"] = json_copy(payload)
        params = {"project_id": project_id}
        if "idempotency_key" in options or self._transport.backoff.attempts < 2:
            repeatable = "idempotency_key" in options
            return await self._transport.one(
                Run, "POST", f"{_path(job)}/trigger", params=params, body=body, repeatable=repeatable
            )
        return await self._transport.made(Run, f"{_path(job)}/trigger", body, params=params)

    async def trigger_bulk(
        self,
        job: str,
        items: Sequence[TriggerItem],
        *,
        project_id: str | None = None,
        idempotency_key: str | None = None,
    ) -> BulkTriggered:
        """Start up to 1000 runs in one transaction, each once, however often the request must be sent.

        `idempotency_key`, made up if there is none, names each item that has no key of its own, by its place.
        """
        body = {"items": [json_copy_item(item) for item in items]}
        path = f"{_path(job)}/trigger/bulk"
        params = {"project_id": project_id}
        return await self._transport.made(BulkTriggered, path, body, idempotency_key, params=params)


def json_copy_item(item: TriggerItem) -> dict[str, Any]:
    """Return an item whose payload is JSON, or raise `NotJson`."""
    return {**item, "payload": json_copy(item["payload"])} if "payload" in item else dict(item)


def _path(job: str) -> str:
    return f"/v1/jobs/{quote(job, safe='')}"
