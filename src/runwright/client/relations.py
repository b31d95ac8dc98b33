"""What releases one run because of others, as the API answers it and takes it."""

from datetime import datetime
from typing import Literal, TypedDict

import msgspec

from runwright.client.models import Record


class JobDependency(Record, kw_only=True):
    """What the runs of `job_id` need of the runs of `depends_on_job_id`."""

    id: str
    job_id: str = ""
    depends_on_job_id: str = ""
    condition: str = "completed"
    on_miss: str = "wait"
    max_age_secs: int | None = None
    timeout_secs: int | None = None
    created_at: datetime | None = None
    created_by: str | None = None


class RunDependency(msgspec.Struct, kw_only=True):
    """What a dependency says of a run: satisfied by `matched_run_id`, or the `reason` why not."""

    id: str
    depends_on_job_id: str = ""
    condition: str = "completed"
    satisfied: bool = False
    matched_run_id: str | None = None
    reason: str | None = None


class DependencyStatus(Record, kw_only=True):
    """Whether a run has what its job depends on."""

    run_id: str
    status: str = ""
    job_id: str | None = None
    dependency_key: str | None = None
    dependencies: list[RunDependency] = msgspec.field(default_factory=list)
    dependencies_satisfied: bool = False


class DependencyTerms(TypedDict, total=False):
    """What a dependency asks of the run that it looks at."""

    condition: Literal["completed", "failed", "any"]
    on_miss: Literal["wait", "fail", "skip"]
    max_age_secs: int | None
    timeout_secs: int | None
