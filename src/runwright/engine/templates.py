"""What a job and its project say of each of its runs, worked out once for all of them."""

from __future__ import annotations

from runwright.domain.accounts import Project
from runwright.domain.job import Job
from runwright.domain.job_terms import chains, heartbeat_ms, limits, retry_policy
from runwright.domain.presets import PROCESS
from runwright.domain.redaction import RedactedText
from runwright.domain.run import Spec, ValueRef

CACHE_MAX = 10_000
_NOTHING = ValueRef("", 0, RedactedText(""))


class Templates:
    """Specs that lack what only a trigger can say. A job that is changed is another object: nothing grows old."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Job, Project, Spec]] = {}

    def of(self, job: Job, project: Project) -> Spec:
        """Return the template of a job's runs, for a trigger that overrides nothing and has no concurrency key."""
        known = self._known.get(job.job_id)
        if known is not None and known[0] is job and known[1] == project:
            return known[2]
        if len(self._known) >= CACHE_MAX:
            self._known.clear()
        made = _template(job, project)
        self._known[job.job_id] = (job, project, made)
        return made


def _template(job: Job, project: Project) -> Spec:
    definition = job.definition
    policy = retry_policy(definition)
    return Spec(
        run_id="",
        org_id=job.org_id,
        project_id=job.project_id,
        executor=definition.execution_mode,
        queue=definition.queue,
        job_id=job.job_id,
        handler=job.handler,
        job_version=job.version,
        job_version_id=job.job_version_id,
        payload=_NOTHING,
        priority=definition.priority,
        weight=project.weight,
        max_attempts=policy.max_attempts,
        timeout_s=float(definition.timeout_secs),
        heartbeat_ms=heartbeat_ms(definition),
        retry=policy,
        checks_result=definition.result_schema is not None,
        poison_pill_threshold=definition.poison_pill_threshold,
        rerun_unknown_steps=definition.rerun_unknown_steps,
        window=definition.window,
        rate=definition.rate_limit,
        preset=definition.preset if definition.execution_mode == PROCESS else None,
        limits=limits(definition, job.job_id, project, None),
        tags=definition.tags,
        metadata=definition.default_metadata,
        chains=chains(definition),
        trace_id="",
        created_at=0,
        created_by="",
        webhook=definition.webhook_url is not None,
        environment=definition.environment,
    )
