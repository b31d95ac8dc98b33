"""Workflows: what they and their steps may say, in versions that never change. Pure.

What comes next where a workflow stands is told by `domain.workflow_plan`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta

from runwright.domain.accounts import END, Name, Slug
from runwright.domain.job_options import MONTH_S, Attempts, Delay, Description, Timeout
from runwright.domain.retry import Strategy
from runwright.domain.template import references
from runwright.errors import FieldError

STEPS_MAX = 100
OnFailure = Literal["fail", "skip_dependents", "continue"]
"""What a step that did not complete does: the workflow starts nothing more, what needs it is skipped, or goes on."""

StepKey = Annotated[
    str,
    Meta(
        pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,62}" + END,
        description="What the other steps and the templates call it: letters, digits, - and _; at most 63.",
    ),
]
DependsOn = Annotated[
    tuple[StepKey, ...],
    Meta(max_length=STEPS_MAX, description="The steps that must be over before this one begins."),
]
OnFailureOf = Annotated[
    OnFailure,
    Meta(
        description="If it does not complete: `fail` starts nothing more, `skip_dependents` skips what waits for it,"
        " `continue` counts it as done."
    ),
]
StepTemplate = Annotated[
    dict[str, Any],
    Meta(description="Its payload, with `{{payload.…}}` and `{{steps.<key>.result.…}}`; without it, the workflow's."),
]
Whole = Annotated[int, Meta(ge=1, le=MONTH_S, description="A workflow that takes longer fails, with all its steps.")]


class Step(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A run of a job within a workflow: the job by its slug or id; what it overrides of the job's, else null.

    Its template sees the payload of the workflow, and the results of the steps that it waits for, directly or not.
    """

    key: StepKey
    job: Annotated[Slug, Meta(description="A job of the workflow's project, by slug or id.")]
    depends_on: DependsOn = ()
    payload_template: StepTemplate | None = None
    on_failure: OnFailureOf = "fail"
    max_attempts: Attempts | None = None
    timeout_secs: Timeout | None = None
    retry_backoff: Strategy | None = None
    retry_initial_delay_secs: Delay | None = None
    retry_max_delay_secs: Delay | None = None


Steps = Annotated[tuple[Step, ...], Meta(min_length=1, max_length=STEPS_MAX)]


class WorkflowOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a workflow does not need to say, with what it then means."""

    description: Description = ""
    timeout_secs: Whole | None = None
    enabled: bool = True


class WorkflowDefinition(WorkflowOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Everything about a workflow that a user decides; each effective change makes a version."""

    name: Name
    slug: Slug
    steps: Steps


class Workflow(msgspec.Struct, frozen=True, kw_only=True):
    """A workflow as it stands: its newest version, which new runs pin."""

    workflow_id: str
    org_id: str
    project_id: str
    version: int
    workflow_version_id: str
    definition: WorkflowDefinition
    created_at: int
    updated_at: int

    @property
    def slug(self) -> str:
        """Return the name by which the project calls it."""
        return self.definition.slug


class WorkflowVersion(msgspec.Struct, frozen=True, kw_only=True):
    """One version of a workflow, as runs that started with it go on seeing it."""

    workflow_version_id: str
    workflow_id: str
    version: int
    definition: WorkflowDefinition
    created_at: int
    created_by: str


def problems(steps: Sequence[Step]) -> list[FieldError]:
    """Return why these steps are no workflow: double and unknown keys, circles, templates of steps not waited for."""
    keys = [step.key for step in steps]
    found = [
        FieldError(f"steps[{place}].key", "is there twice")
        for place, step in enumerate(steps)
        if step.key in keys[:place]
    ]
    for place, step in enumerate(steps):
        where, needs = f"steps[{place}].depends_on", step.depends_on
        found += [FieldError(where, f"there is no step {key!r}") for key in needs if key not in keys]
        if len(set(needs)) < len(needs):
            found.append(FieldError(where, "names a step twice"))
    if found:
        return found
    before = ancestors(steps)
    circle = next((step.key for step in steps if step.key in before[step.key]), None)
    if circle is not None:
        return [FieldError("steps", f"the step {circle!r} waits for itself")]
    for place, step in enumerate(steps):
        for path in references(step.payload_template):
            problem = _problem(path, before[step.key])
            if problem is not None:
                found.append(FieldError(f"steps[{place}].payload_template", problem))
    return found


def _problem(path: str, before: frozenset[str]) -> str | None:
    root, _, rest = path.partition(".")
    if root == "payload":
        return None
    key, _, field = rest.partition(".")
    if root != "steps" or field.partition(".")[0] != "result":
        return f"{{{{{path}}}}} is neither payload nor steps.<key>.result"
    return None if key in before else f"{{{{{path}}}}} is not a step that this one waits for"


def ancestors(steps: Sequence[Step]) -> dict[str, frozenset[str]]:
    """Return for each step all that it waits for, directly or not; in a circle, itself too."""
    needs = {step.key: frozenset(step.depends_on) for step in steps}
    while True:
        wider = {key: direct.union(*(needs[each] for each in direct)) for key, direct in needs.items()}
        if wider == needs:
            return needs
        needs = wider
