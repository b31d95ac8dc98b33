"""`runwright jobs`: what runs are made from."""

from typing import Annotated, Any, cast
from zoneinfo import ZoneInfo

from cyclopts import App, Parameter

from runwright.cli import dependencies, memory, printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm
from runwright.cli.job_options import NO_OPTIONS, NULLABLE, Options
from runwright.client.fields import JobChanges, JobFields
from runwright.client.job_models import Job

app = App(name="jobs", help="List, read, create, change and delete jobs.")
app.command(dependencies.app)
app.command(memory.app)

SHOWN_ONCE = "The signing secret is not shown again: give it to the endpoint now."


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
def version(job: str, job_version_id: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show one version of a job.

    Example: `runwright jobs version report jobv_019a3c5e7b8f7d10b2c4e6f8a1b3c5d7`

    Parameters
    ----------
    job
        Id or slug.
    job_version_id
        The version's id, which runs show as `job_version_id`.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.jobs.version(job, job_version_id, project_id=project), connection.json)


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
def clone(
    job: str,
    /,
    *,
    slug: str | None = None,
    name: str | None = None,
    to_project: str | None = None,
    enabled: Annotated[bool | None, Parameter(negative="--disabled")] = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make a job of the same definition; one with cron is cloned disabled.

    Example: `runwright jobs clone report --slug weekly-report`

    Parameters
    ----------
    job
        Id or slug.
    slug
        Slug of the clone; default: the old one with -copy.
    name
        Name of the clone.
    to_project
        Id or slug of the clone's project; default: the same.
    enabled
        Whether the clone can be triggered.
    project
        Id or slug of the job's project.
    """
    with connection.client() as client:
        made = client.jobs.clone(
            job, slug=slug, name=name, to_project_id=to_project, enabled=enabled, project_id=project
        )
        _show_changed(made, connection)


@app.command
def pause(job: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Let a job start nothing any more; runs that exist go on.

    Example: `runwright jobs pause report`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.jobs.pause(job, project_id=project), connection.json)


@app.command
def resume(job: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Let a paused job start runs again; its schedule begins from now.

    Example: `runwright jobs resume report`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.jobs.resume(job, project_id=project), connection.json)


@app.command
def health(
    job: str, /, *, window: str | None = None, project: str | None = None, connection: Connection = HERE
) -> None:
    """Show what became of a job's runs lately.

    Example: `runwright jobs health report --window 7d`

    Parameters
    ----------
    job
        Id or slug.
    window
        How far back: 30m, 24h (the default), 7d; at most 400d.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.jobs.health(job, window=window, project_id=project), connection.json)


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
