"""What the fields of a job, and what a trigger says otherwise, mean for a run."""

from __future__ import annotations

import msgspec

from runwright.domain import limits as keys
from runwright.domain.accounts import Project
from runwright.domain.job import JobDefinition
from runwright.domain.job_options import Link
from runwright.domain.retry import RetryPolicy, Strategy
from runwright.domain.run import Limit, State
from runwright.errors import FieldError


class Overrides(msgspec.Struct, frozen=True, kw_only=True):
    """What a trigger may say of its one run instead of the job; the names are those of the trigger's fields."""

    max_attempts_override: int | None = None
    retry_backoff: Strategy | None = None
    retry_initial_delay_secs: int | float | None = None
    retry_max_delay_secs: int | float | None = None


def override_problems(definition: JobDefinition, overrides: Overrides) -> list[FieldError]:
    """Return why these overrides make no policy of the job's, if they do not."""
    if overrides.retry_backoff == "custom" and not definition.retry_delays_secs:
        return [FieldError("retry_backoff", "can only be custom for a job that has retry_delays_secs")]
    return []


def retry_policy(definition: JobDefinition, overrides: Overrides = Overrides()) -> RetryPolicy:  # noqa: B008 - frozen
    """Return the policy of a run of this job; what the trigger overrides wins.

    Raises `ValueError` for overrides that `override_problems` names.
    """
    strategy = overrides.retry_backoff or definition.retry_strategy
    attempts = overrides.max_attempts_override
    return RetryPolicy(
        strategy=strategy,
        max_attempts=definition.max_attempts if attempts is None else attempts,
        initial_ms=_ms(_first(overrides.retry_initial_delay_secs, definition.retry_initial_delay_secs)),
        max_ms=_ms(_first(overrides.retry_max_delay_secs, definition.retry_max_delay_secs)),
        delays_ms=tuple(map(_ms, definition.retry_delays_secs)) if strategy == "custom" else (),
        jitter=definition.retry_jitter,
    )


def chains(definition: JobDefinition) -> tuple[State, ...]:
    """Return the ends of a run that start other runs."""
    on: tuple[tuple[State, tuple[Link, ...]], ...] = (
        ("completed", definition.on_complete),
        ("failed", definition.on_failure),
        ("expired", definition.on_failure),
    )
    return tuple(state for state, links in on if links)


def heartbeat_ms(definition: JobDefinition) -> int | None:
    """Return how long an endpoint that accepted a run may be silent; None where none does."""
    return _ms(definition.heartbeat_timeout_secs) if definition.execution_mode == "http" else None


def limits(definition: JobDefinition, job_id: str, project: Project, concurrency_key: str | None) -> tuple[Limit, ...]:
    """Return the limits that a run of this job must own a slot of, by key; none where nothing is bounded."""
    found = []
    if definition.max_concurrency is not None:
        found.append(Limit(keys.job_key(job_id), definition.max_concurrency))
    if definition.max_concurrency_per_key is not None and concurrency_key is not None:
        found.append(Limit(keys.concurrency_key(job_id, concurrency_key), definition.max_concurrency_per_key))
    found += project_limit(project)
    return tuple(sorted(found, key=lambda limit: limit.key))


def project_limit(project: Project) -> tuple[Limit, ...]:
    """Return the limit that every run of a project must own a slot of, if the project has one."""
    if project.max_concurrency is None:
        return ()
    return (Limit(keys.project_key(project.project_id), project.max_concurrency),)


def _first(override: int | float | None, default: int | float) -> int | float:
    return default if override is None else override


def _ms(seconds: int | float) -> int:
    return round(seconds * 1000)
