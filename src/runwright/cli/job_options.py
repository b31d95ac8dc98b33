"""The fields of a job as options of commands."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, cast

from cyclopts import Parameter

from runwright.cli.inputs import json_object, link, pairs, window, words
from runwright.client.fields import JobChanges

NULLABLE = (
    "endpoint_url",
    "fallback_endpoint_url",
    "max_concurrency",
    "max_concurrency_per_key",
    "rate_limit",
    "run_ttl_secs",
    "poison_pill_threshold",
    "cron",
    "webhook_url",
    "environment",
    "payload_schema",
    "result_schema",
    "execution_window_cron",
    "dedup_window_secs",
    "debounce",
    "batch",
)

WINDOWS = {
    "rate_limit": ("max", "window_secs"),
    "debounce": ("window_secs", "max_wait_secs"),
    "batch": ("window_secs", "max_size"),
}
LINKS = ("on_complete", "on_failure")
OBJECTS = ("payload_template", "payload_schema", "result_schema")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """The fields of a job; one that is not given stays as it is, or at the server's default."""

    name: str | None = None
    "Name for people"
    description: str | None = None
    "What the job does"
    execution_mode: str | None = None
    "Where its code runs; `worker`: a handler of a Python worker; `http`: behind the endpoint; `process`: the command"
    endpoint: str | None = None
    "URL that runs are posted to; makes it an http job"
    fallback_endpoint: str | None = None
    "URL that is tried when the endpoint cannot be reached or answers 5xx"
    retry_on: tuple[int, ...] = ()
    "Status of an answer after which to try again; repeatable, replaces 408, 409, 425, 429 and 5xx"
    heartbeat_timeout_secs: int | float | None = None
    "How long an endpoint that answered 202 may be silent"
    command: str | None = None
    "Program to run and its arguments, in quotes as for a shell (none reads them); makes it a process job"
    tty: Annotated[bool | None, Parameter(negative="--no-tty")] = None
    "Whether the command has a terminal, in place of two pipes"
    preset: str | None = None
    "CPUs and memory of the command: `micro`, `small-1x`, `small-2x`, `medium-1x`, `medium-2x`, `large-1x`, `large-2x`"
    network: Literal["none", "host"] | None = None
    "`none`: the command reaches the API alone; `host`: what its machine does"
    queue: str | None = None
    "Queue of its runs"
    handler: str | None = None
    "Handler that executes it; default: the one named as its slug"
    max_attempts: int | None = None
    "How often a run is tried"
    timeout_secs: int | float | None = None
    "Longest time of an attempt"
    retry_strategy: Literal["exponential", "linear", "fixed", "custom"] | None = None
    "How the delay between attempts grows"
    retry_initial_delay_secs: int | float | None = None
    "Delay before the second attempt"
    retry_max_delay_secs: int | float | None = None
    "Longest delay between attempts"
    retry_delays_secs: tuple[int | float, ...] = ()
    "Delays of the custom strategy; repeatable"
    retry_jitter: Literal["full", "proportional", "none"] | None = None
    "How the delays are spread"
    max_concurrency: int | None = None
    "Most runs at a time"
    max_concurrency_per_key: int | None = None
    "Most runs at a time of one concurrency key"
    rate_limit: str | None = None
    "MAX,SECONDS, such as 100,60: so many runs enter their queue within any window of so long"
    run_ttl_secs: int | float | None = None
    "Time within which a run must start"
    priority: int | None = None
    "0 to 10"
    poison_pill_threshold: int | None = None
    "Identical errors in a row that end the retries"
    rerun_unknown_steps: Annotated[bool | None, Parameter(negative="--no-rerun-unknown-steps")] = None
    "Whether an unsafe step of unknown outcome runs again"
    cron: str | None = None
    "Five fields, minute to day of week: when it starts runs by itself"
    timezone: str | None = None
    "Time zone whose clock `cron` reads, such as Europe/Berlin"
    catch_up: Literal["skip", "one", "all"] | None = None
    "What becomes of fires that were missed"
    overlap: Literal["allow", "skip", "cancel"] | None = None
    "What a fire does while the run of the fire before it is unfinished"
    payload_template: str | None = None
    "JSON object, @FILE or - for stdin: the payload of the runs that `cron` starts"
    payload_schema: str | None = None
    "JSON Schema (2020-12) of its payloads: JSON object, @FILE or - for stdin"
    result_schema: str | None = None
    "JSON Schema (2020-12) of its results: JSON object, @FILE or - for stdin"
    webhook_url: str | None = None
    "URL that is told of the end of each run"
    environment: str | None = None
    "Environment whose variables and secrets its runs are given"
    execution_window_cron: str | None = None
    "Five fields, minute to day of week: runs enter their queue in minutes that match"
    dedup_window_secs: int | None = None
    "So long, a trigger with an equal payload finds the run that it made before"
    debounce: str | None = None
    "WINDOW,MAX_WAIT in seconds, such as 5,60: triggers of a key make one run, with the last payload"
    batch: str | None = None
    "WINDOW,MAX_SIZE, such as 10,100: triggers of a key make one run, with all of them"
    on_complete: tuple[str, ...] = ()
    "Slug of a job that is started when a run has completed, or JSON with its `payload_template`; repeatable"
    on_failure: tuple[str, ...] = ()
    "Slug of a job that is started when a run has failed, or JSON with its `payload_template`; repeatable"
    event_trigger: tuple[str, ...] = ()
    "Event that starts a run: its key, a prefix of keys and `*`, or a JSON object with key or prefix; repeatable"
    enabled: Annotated[bool | None, Parameter(negative="--disabled")] = None
    "Whether the job can be triggered"
    tag: tuple[str, ...] = ()
    "KEY=VALUE; repeatable"
    default_metadata: tuple[str, ...] = ()
    "KEY=VALUE; repeatable"

    def given(self) -> JobChanges:
        """Return the fields that were given, as the API takes them."""
        values: dict[str, Any] = {field.name: getattr(self, field.name) for field in fields(self)}
        values["endpoint_url"] = values.pop("endpoint")
        values["fallback_endpoint_url"] = values.pop("fallback_endpoint")
        if self.endpoint is not None and self.execution_mode is None:
            values["execution_mode"] = "http"
        if self.command is not None:
            values["command"] = words(self.command, "--command")
            values["execution_mode"] = self.execution_mode or "process"
        values["retry_on"] = list(values["retry_on"])
        for name in OBJECTS:
            if values[name] is not None:
                values[name] = json_object(values[name], f"--{name.replace('_', '-')}")
        for name, (first, second) in WINDOWS.items():
            if values[name] is not None:
                values[name] = window(values[name], f"--{name.replace('_', '-')}", first, second)
        for name in LINKS:
            values[name] = [link(each, f"--{name.replace('_', '-')}") for each in values[name]]
        values["tags"] = pairs(values.pop("tag"), "--tag")
        values["default_metadata"] = pairs(values["default_metadata"], "--default-metadata")
        values["retry_delays_secs"] = list(values["retry_delays_secs"])
        values["event_triggers"] = [_trigger(text) for text in values.pop("event_trigger")]
        lists = ("retry_on", "retry_delays_secs", "event_triggers", "tags", "default_metadata", *LINKS)
        empty = [name for name in lists if not values[name]]
        kept = {name: value for name, value in values.items() if value is not None and name not in empty}
        return cast(JobChanges, kept)


def _trigger(text: str) -> dict[str, Any]:
    if text.startswith("{"):
        return json_object(text, "--event-trigger")
    return {"prefix": text[:-1]} if text.endswith("*") else {"key": text}


NO_OPTIONS = Options()
