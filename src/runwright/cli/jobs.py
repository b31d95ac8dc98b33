"""`runwright jobs`: what runs are made from."""

from dataclasses import dataclass, fields
from typing import Annotated, Any, Literal, cast
from zoneinfo import ZoneInfo

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm, json_object, pairs
from runwright.client.fields import JobChanges, JobFields
from runwright.client.models import Job

app = App(name="jobs", help="List, read, create, change and delete jobs.")

NULLABLE = (
    "endpoint_url",
    "fallback_endpoint_url",
    "max_concurrency",
    "max_concurrency_per_key",
    "run_ttl_secs",
    "poison_pill_threshold",
    "cron",
)

SHOWN_ONCE = "The signing secret is not shown again: give it to the endpoint now."


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """The fields of a job; one that is not given stays as it is, or at the server's default."""

    name: str | None = None
    "Name for people"
    description: str | None = None
    "What the job does"
    execution_mode: str | None = None
    "Where its code runs; `worker`: a handler of a Python worker; `http`: behind the endpoint"
    endpoint: str | None = None
    "URL that runs are posted to; makes it an http job"
    fallback_endpoint: str | None = None
    "URL that is tried when the endpoint cannot be reached or answers 5xx"
    retry_on: tuple[int, ...] = ()
    "Status of an answer after which to try again; repeatable, replaces 408, 409, 425, 429 and 5xx"
    heartbeat_timeout_secs: int | float | None = None
    "How long an endpoint that answered 202 may be silent"
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
        values["retry_on"] = list(values["retry_on"])
        if self.payload_template is not None:
            values["payload_template"] = json_object(self.payload_template, "--payload-template")
        values["tags"] = pairs(values.pop("tag"), "--tag")
        values["default_metadata"] = pairs(values["default_metadata"], "--default-metadata")
        values["retry_delays_secs"] = list(values["retry_delays_secs"])
        empty = [name for name in ("retry_on", "retry_delays_secs", "tags", "default_metadata") if not values[name]]
        kept = {name: value for name, value in values.items() if value is not None and name not in empty}
        return cast(JobChanges, kept)


NO_OPTIONS = Options()


@app.command(name="list")
def list_jobs(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List jobs.

    Example: `runwright jobs list --project default`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        jobs = client.jobs.list(project_id=project, limit=min(limit, 500)).first(limit)
    if connection.json:
        printing.show_json([job.raw for job in jobs])
        return
    printing.table(
        ("slug", "id", "queue", "version", "attempts", "timeout", "enabled"),
        [(j.slug, j.id, j.queue, j.version, j.max_attempts, j.timeout_secs, j.enabled) for j in jobs],
    )


@app.command
def get(job: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show a job.

    Example: `runwright jobs get report`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.jobs.get(job, project_id=project), connection.json)


@app.command
def versions(job: str, /, *, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List the versions of a job, oldest first.

    Example: `runwright jobs versions report --json`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    limit
        At most so many.
    """
    columns = ("version", "id", "queue", "max_attempts", "timeout_secs", "enabled", "created_at", "created_by")
    with connection.client() as client:
        rows = client.jobs.versions(job, project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


@app.command
def create(
    slug: str, /, *, project: str | None = None, options: Options = NO_OPTIONS, connection: Connection = HERE
) -> None:
    """Create a job.

    Example: `runwright jobs create report --max-attempts 5 --retry-strategy linear --tag team=sales`

    Parameters
    ----------
    slug
        Name of the job in commands and addresses; a worker's handler of the same slug executes it.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    body = {"slug": slug, "name": slug, **options.given()} | ({} if project is None else {"project_id": project})
    with connection.client() as client:
        _show_changed(client.jobs.create(**cast(JobFields, body)), connection)


@app.command
def update(
    job: str,
    /,
    *,
    project: str | None = None,
    clear: tuple[str, ...] = (),
    options: Options = NO_OPTIONS,
    connection: Connection = HERE,
) -> None:
    """Change a job; every change is a version.

    Example: `runwright jobs update report --max-concurrency 4 --clear run-ttl-secs`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    clear
        Field to set back to nothing, such as `max-concurrency`; repeatable.
    """
    changes: dict[str, Any] = dict(options.given())
    for name in clear:
        field = name.replace("-", "_")
        if field not in NULLABLE:
            raise UsageError(f"--clear {name!r} cannot be.", f"It takes one of: {', '.join(NULLABLE)}.")
        changes[field] = None
    if not changes:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --max-attempts 5.")
    with connection.client() as client:
        changed = client.jobs.update(job, project_id=project, **cast(JobChanges, changes))
        _show_changed(changed, connection)


@app.command
def put(
    slug: str, /, *, project: str | None = None, options: Options = NO_OPTIONS, connection: Connection = HERE
) -> None:
    """Have a job of this slug: made if there is none, changed where an option differs.

    Done twice, it is done once; what is not given stays as it is.

    Example: `runwright jobs put report --queue slow --max-attempts 5`

    Parameters
    ----------
    slug
        Name of the job; a worker's handler of the same slug executes it.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    with connection.client() as client:
        _show_changed(client.jobs.put(slug, project_id=project, **options.given()), connection)


@app.command
def schedule(job: str, /, *, count: int = 10, project: str | None = None, connection: Connection = HERE) -> None:
    """Show when a job starts runs by itself, and its next fires.

    Example: `runwright jobs schedule report --count 3`

    Parameters
    ----------
    job
        Id or slug.
    count
        How many of the fires to come; at most 100.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        found = client.jobs.schedule(job, count=count, project_id=project)
    if connection.json:
        printing.show_json(found.raw)
        return
    printing.detail((name, value) for name, value in found.raw.items() if name != "upcoming")
    clock = ZoneInfo(found.timezone)
    local = [at.astimezone(clock).strftime("%a %Y-%m-%d %H:%M %Z") for at in found.upcoming]
    printing.table(("upcoming", "by its clock"), list(zip(found.raw["upcoming"], local, strict=True)))


@app.command
def rotate_secret(
    job: str,
    /,
    *,
    grace_secs: int | float | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Give an http job a new signing secret, shown this once.

    Example: `runwright jobs rotate-secret report`

    Parameters
    ----------
    job
        Id or slug.
    grace_secs
        Seconds for which the old secret signs beside the new one; default: a day.
    project
        Id or slug of the job's project, when it is named by its slug.
    """
    with connection.client() as client:
        rotated = client.jobs.rotate_secret(job, grace_secs=grace_secs, project_id=project)
    printing.show_record(rotated, connection.json)
    if not connection.json:
        printing.note(SHOWN_ONCE)


@app.command
def delete(job: str, /, *, project: str | None = None, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete a job that has no live run; its runs and versions stay.

    Example: `runwright jobs delete report --yes`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        if not yes:
            found = client.jobs.get(job, project_id=project)
            confirm(f"This deletes the job {found.slug} ({found.id}), now in version {found.version}.", yes)
        client.jobs.delete(job, project_id=project)
    if connection.json:
        printing.show_json({"deleted": job})
    else:
        printing.say(f"deleted {job}")


def _show_changed(job: Job, connection: Connection) -> None:
    printing.show_record(job, connection.json)
    if job.signing_secret is not None and not connection.json:
        printing.note(SHOWN_ONCE)
