"""The shapes of workflows on the wire, and of the steps of their runs."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from runwright.api.jobs.job_schemas import ProjectIdent
from runwright.api.jobs.run_schemas import Text256
from runwright.api.pages import PageQuery
from runwright.domain.accounts import Name, Slug
from runwright.domain.job_options import Description, Metadata, Tags
from runwright.domain.workflow import OnFailure, Steps, Whole, WorkflowOptions

StepWord = Literal[
    "pending", "skipped", "delayed", "queued", "dequeued", "executing", "waiting", "paused", "completed", "failed",
    "timed_out", "crashed", "system_failed", "canceled", "expired", "dead_letter",
]  # fmt: skip


class WorkflowQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a slug belongs to."""

    project_id: ProjectIdent | None = None


class WorkflowListQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The filter of a list of workflows; without it, all that the caller may see."""

    project_id: Annotated[str | None, Meta(description="The workflows of one project, by id or slug.")] = None


class WorkflowVersionQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which project a slug belongs to."""

    project_id: ProjectIdent | None = None


class CreateWorkflowRequest(WorkflowOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new workflow; without a slug the name suggests it, without a name it is the slug."""

    project_id: ProjectIdent | None = None
    name: Name | None = None
    slug: Slug | None = None
    steps: Steps


class UpdateWorkflowRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to change of a workflow; a field that is named is replaced whole."""

    name: Name | UnsetType = UNSET
    slug: Slug | UnsetType = UNSET
    description: Description | UnsetType = UNSET
    timeout_secs: Whole | UnsetType | None = UNSET
    enabled: bool | UnsetType = UNSET
    steps: Steps | UnsetType = UNSET


class TriggerWorkflowRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to run it with. With `debug_mode` its steps record what is handed over and what comes back."""

    payload: dict[str, Any] = {}
    tags: Tags = {}
    metadata: Metadata = {}
    idempotency_key: Text256 | None = None
    debug_mode: bool = False


class WorkflowStep(msgspec.Struct, frozen=True, kw_only=True):
    """A step as a workflow has it; what it does not override of its job is null."""

    key: str
    job: str
    depends_on: list[str]
    payload_template: dict[str, Any] | None
    on_failure: OnFailure
    max_attempts: int | None
    timeout_secs: int | float | None
    retry_backoff: str | None
    retry_initial_delay_secs: int | float | None
    retry_max_delay_secs: int | float | None


class WorkflowDefinition(msgspec.Struct, frozen=True, kw_only=True):
    """What a workflow and each version of it say."""

    id: str
    workflow_id: str
    workflow_version_id: str
    version: int
    name: str
    slug: str
    description: str
    timeout_secs: int | None
    enabled: bool
    steps: list[WorkflowStep]
    created_at: str


class Workflow(WorkflowDefinition, frozen=True, kw_only=True):
    """A workflow as it stands: its newest version, which new runs pin."""

    org_id: str
    project_id: str
    updated_at: str


class WorkflowVersion(WorkflowDefinition, frozen=True, kw_only=True):
    """One version of a workflow; `id` is that of the version."""

    created_by: str


class WorkflowStepRun(msgspec.Struct, frozen=True, kw_only=True):
    """A step of a workflow's run: `status` is the word of its run, or `pending` and `skipped` for one that has none.

    A step that is `reused` was taken over by a replay: its run is one of an earlier workflow's run. One that `failed`
    without a run could not be made.
    """

    id: str
    workflow_run_id: str
    step_key: str
    job: str
    depends_on: list[str]
    on_failure: OnFailure
    status: StepWord
    run_id: str | None
    reused: bool
    attempt: int | None
    error: str | None
    error_class: str | None
    started_at: str | None
    finished_at: str | None
