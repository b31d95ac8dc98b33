"""Workflows and the steps of their runs, as the API answers them and takes them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, Required, TypedDict

import msgspec

from runwright.client.models import Record


class WorkflowStep(TypedDict, total=False):
    """A step: a run of a job of the project, by its slug or id, after the steps that it depends on."""

    key: Required[str]
    job: Required[str]
    depends_on: Sequence[str]
    payload_template: Mapping[str, Any] | None
    on_failure: Literal["fail", "skip_dependents", "continue"]
    max_attempts: int | None
    timeout_secs: float | None
    retry_backoff: Literal["exponential", "linear", "fixed", "custom"] | None
    retry_initial_delay_secs: float | None
    retry_max_delay_secs: float | None


class WorkflowChanges(TypedDict, total=False):
    """The fields of a workflow that can be changed."""

    name: str
    slug: str
    description: str
    timeout_secs: int | None
    enabled: bool
    steps: Sequence[WorkflowStep]


class WorkflowFields(WorkflowChanges, total=False):
    """The fields of a new workflow."""

    project_id: str


class WorkflowTrigger(TypedDict, total=False):
    """What may go with the payload of a workflow."""

    tags: Mapping[str, str]
    metadata: Mapping[str, str]
    idempotency_key: str
    debug_mode: bool


class WorkflowDefinition(Record, kw_only=True):
    """What a workflow and each version of it say."""

    id: str
    slug: str
    workflow_id: str | None = None
    workflow_version_id: str | None = None
    version: int = 1
    name: str | None = None
    description: str | None = None
    timeout_secs: int | None = None
    enabled: bool = True
    steps: list[dict[str, Any]] = msgspec.field(default_factory=list)
    created_at: datetime | None = None


class Workflow(WorkflowDefinition, kw_only=True):
    """A workflow as it stands."""

    org_id: str | None = None
    project_id: str | None = None
    updated_at: datetime | None = None


class WorkflowVersion(WorkflowDefinition, kw_only=True):
    """One version of a workflow."""

    created_by: str | None = None


class WorkflowStepRun(Record, kw_only=True):
    """A step of a workflow's run; `status` is the word of its run, `pending` or `skipped`."""

    id: str
    workflow_run_id: str = ""
    step_key: str = ""
    job: str = ""
    depends_on: list[str] = msgspec.field(default_factory=list)
    on_failure: str = "fail"
    status: str = "pending"
    run_id: str | None = None
    reused: bool = False
    attempt: int | None = None
    error: str | None = None
    error_class: str | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
