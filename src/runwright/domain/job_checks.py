"""Look at a definition as a whole: what its fields say together that no one of them may say."""

from __future__ import annotations

import msgspec

from runwright import ids
from runwright.domain.addresses import url_problem
from runwright.domain.job import JobDefinition
from runwright.domain.job_options import HEARTBEAT_S
from runwright.domain.json_schema import BadSchema, JsonSchema
from runwright.domain.presets import PROCESS, SMALLEST
from runwright.domain.schedule import cron_problem, timezone_problem
from runwright.errors import FieldError

SCHEMA_MAX_BYTES = 65_536


def problems(
    definition: JobDefinition, *, allow_private: bool = False, schema_max_bytes: int = SCHEMA_MAX_BYTES
) -> list[FieldError]:
    """Return what no single field's type can refuse; an empty list for a definition that may be stored.

    `allow_private` lets endpoints lie in private networks, for development.
    """
    found = _mode_problems(definition) + _endpoint_problems(definition, allow_private) + _schedule_problems(definition)
    found += _schema_problems(definition, schema_max_bytes)
    if definition.webhook_url is not None:
        problem = url_problem(definition.webhook_url, allow_private=allow_private)
        found += [FieldError("webhook_url", problem)] if problem is not None else []
    if definition.dedup_window_secs is not None and (definition.debounce or definition.batch) is not None:
        found.append(FieldError("dedup_window_secs", "cannot go with debounce or batch"))
    if definition.debounce is not None and definition.batch is not None:
        found.append(FieldError("batch", "cannot go with debounce"))
    if definition.debounce is not None and definition.debounce.max_wait_secs < definition.debounce.window_secs:
        found.append(FieldError("debounce.max_wait_secs", "must be at least window_secs"))
    found += [
        FieldError(f"event_triggers[{place}]", "needs either key or prefix")
        for place, trigger in enumerate(definition.event_triggers)
        if (trigger.key is None) == (trigger.prefix is None)
    ]
    if ids.is_id("job", definition.slug):
        found.append(FieldError("slug", "must not look like the id of a job"))
    if definition.retry_strategy == "custom" and not definition.retry_delays_secs:
        found.append(FieldError("retry_delays_secs", "is required by the strategy custom"))
    if definition.retry_strategy != "custom" and definition.retry_delays_secs:
        found.append(FieldError("retry_delays_secs", "is only for the strategy custom"))
    return found


def _mode_problems(definition: JobDefinition) -> list[FieldError]:
    """Return what belongs to another execution mode, and what its own lacks."""
    mode = definition.execution_mode
    of_modes: dict[str, dict[str, bool]] = {
        "worker": {"handler": definition.handler is not None, "rerun_unknown_steps": definition.rerun_unknown_steps},
        "http": {
            "endpoint_url": definition.endpoint_url is not None,
            "fallback_endpoint_url": definition.fallback_endpoint_url is not None,
            "retry_on": definition.retry_on != (),
            "heartbeat_timeout_secs": definition.heartbeat_timeout_secs != HEARTBEAT_S,
        },
        PROCESS: {
            "command": definition.command != (),
            "tty": definition.tty,
            "preset": definition.preset != SMALLEST,
            "network": definition.network != "none",
        },
    }
    found = [
        FieldError(name, f"is only for the execution mode {other}")
        for other, fields in of_modes.items()
        for name, given in fields.items()
        if other != mode and given
    ]
    if mode == "http" and definition.endpoint_url is None:
        found.append(FieldError("endpoint_url", "is required by the execution mode http"))
    if mode == PROCESS and not (definition.command and definition.command[0]):
        found.append(FieldError("command", "begins with a program, in the execution mode process"))
    return found


def _endpoint_problems(definition: JobDefinition, allow_private: bool) -> list[FieldError]:
    if definition.execution_mode == "http":
        urls = {name: getattr(definition, name) for name in ("endpoint_url", "fallback_endpoint_url")}
        said = {name: url_problem(url, allow_private=allow_private) for name, url in urls.items() if url is not None}
        return [FieldError(name, problem) for name, problem in said.items() if problem is not None]
    return []


def _schedule_problems(definition: JobDefinition) -> list[FieldError]:
    expressions = {"cron": definition.cron, "execution_window_cron": definition.execution_window_cron}
    of_schedules = {
        "timezone": definition.timezone != "UTC" and not any(expressions.values()),
        "catch_up": definition.catch_up != "one" and definition.cron is None,
        "overlap": definition.overlap != "allow" and definition.cron is None,
        "payload_template": definition.payload_template != {} and definition.cron is None,
    }
    wrong = [FieldError(name, "is only for a job with cron") for name, given in of_schedules.items() if given]
    said = {name: cron_problem(expression) for name, expression in expressions.items() if expression is not None}
    if said:
        said["timezone"] = timezone_problem(definition.timezone)
    return wrong + [FieldError(name, problem) for name, problem in said.items() if problem is not None]


def _schema_problems(definition: JobDefinition, most: int) -> list[FieldError]:
    found = []
    for name in ("payload_schema", "result_schema"):
        schema = getattr(definition, name)
        if schema is None:
            continue
        size = len(msgspec.json.encode(schema))
        if size > most:
            found.append(FieldError(name, f"has {size} bytes, at most {most} (RUNWRIGHT_SCHEMA_MAX_BYTES)"))
            continue
        try:
            judge = JsonSchema(schema)
        except BadSchema as broken:
            found.append(FieldError(f"{name}.{broken.path}".rstrip("."), broken.message))
            continue
        if name == "payload_schema" and definition.cron is not None:
            template = definition.payload_template
            found += judge.problems(template, "payload_template", len(msgspec.json.encode(template)))
    return found
