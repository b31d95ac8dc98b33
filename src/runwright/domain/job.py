"""The job: what a trigger makes runs of, in versions that never change."""

from __future__ import annotations

import msgspec

from runwright.domain.accounts import Name, Slug
from runwright.domain.job_options import JobOptions, Mode
from runwright.domain.schedule import Cron


class JobDefinition(JobOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a job that a user decides; each effective change makes a version."""

    name: Name
    slug: Slug
    execution_mode: Mode = "worker"

    @property
    def schedule(self) -> Cron | None:
        """Return when the job starts runs by itself; None for one that waits for triggers."""
        return None if self.cron is None else Cron(self.cron, self.timezone)

    @property
    def window(self) -> Cron | None:
        """Return when runs may enter their queue; None for always."""
        return None if self.execution_window_cron is None else Cron(self.execution_window_cron, self.timezone)


def implied_mode(endpoint_url: str | None) -> Mode:
    """Return where the code of a job runs that does not say it: behind its endpoint, if it has one."""
    return "worker" if endpoint_url is None else "http"


class Job(msgspec.Struct, frozen=True, kw_only=True):
    """A job as it stands: its newest version, which new runs pin."""

    job_id: str
    org_id: str
    project_id: str
    version: int
    job_version_id: str
    definition: JobDefinition
    created_at: int
    updated_at: int

    @property
    def slug(self) -> str:
        """Return the name by which the project calls it."""
        return self.definition.slug

    @property
    def handler(self) -> str | None:
        """Return the handler that workers run it with: the job's slug unless it names another; None without one."""
        if self.definition.execution_mode != "worker":
            return None
        return self.definition.handler or self.definition.slug


class JobVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a job, as runs that started with it go on seeing it."""

    job_version_id: str
    job_id: str
    version: int
    definition: JobDefinition
    created_at: int
    created_by: str
