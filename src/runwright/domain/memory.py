"""The memory of a job: values that outlive its runs, each under a key."""

from __future__ import annotations

from typing import Any

import msgspec


class Remembered(msgspec.Struct, frozen=True, kw_only=True):
    """A value that the runs of a job keep, sealed. `run_id` kept it last; without `expires_at` it has no end."""

    job_id: str
    memory_key: str
    org_id: str
    project_id: str
    run_id: str
    sealed: bytes
    size: int
    expires_at: int | None
    updated_at: int


class Recalled(msgspec.Struct, frozen=True, kw_only=True):
    """A value of a job's memory, opened: exact for runs of the job, redacted for everybody else."""

    memory_key: str
    value: Any
    run_id: str
    expires_at: int | None
    updated_at: int
