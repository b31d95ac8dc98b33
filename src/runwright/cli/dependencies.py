"""`runwright jobs dependencies`: what the runs of a job wait for."""

from typing import Literal, cast

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm
from runwright.client.relations import DependencyTerms

app = App(name="dependencies", help="List, add, change and delete what the runs of a job wait for.")

COLUMNS = ("id", "depends_on_job_id", "condition", "on_miss", "max_age_secs", "timeout_secs")

Condition = Literal["completed", "failed", "any"]
OnMiss = Literal["wait", "fail", "skip"]


@app.command(name="list")
def list_dependencies(
    job: str, /, *, project: str | None = None, limit: int = 50, connection: Connection = HERE
) -> None:
    """List what a job depends on.

    Example: `runwright jobs dependencies list report`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.dependencies.list(job, project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(job: str, dependency_id: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show a dependency of a job.

    Example: `runwright jobs dependencies get report dep_0197…`
    """
    with connection.client() as client:
        printing.show_record(client.dependencies.get(job, dependency_id, project_id=project), connection.json)


@app.command
def add(
    job: str,
    depends_on: str,
    /,
    *,
    condition: Condition | None = None,
    on_miss: OnMiss | None = None,
    max_age_secs: int | None = None,
    timeout_secs: int | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Let the runs of a job wait for a run of another.

    Example: `runwright jobs dependencies add report ingest --max-age-secs 86400`

    Parameters
    ----------
    job
        Id or slug of the job whose runs wait.
    depends_on
        Id or slug of the job that they wait for.
    condition
        How a run of that job must have ended; default: completed.
    on_miss
        What becomes of a waiting run when it ends otherwise; default: it goes on waiting.
    max_age_secs
        How long ago it may have ended.
    timeout_secs
        How long a run waits before it fails; default: for ever.
    project
        Id or slug of the jobs' project.
    """
    terms = _terms(condition, on_miss, max_age_secs, timeout_secs)
    with connection.client() as client:
        made = client.dependencies.create(job, depends_on, project_id=project, **terms)
    printing.show_record(made, connection.json)


@app.command
def update(
    job: str,
    dependency_id: str,
    /,
    *,
    condition: Condition | None = None,
    on_miss: OnMiss | None = None,
    max_age_secs: int | None = None,
    timeout_secs: int | None = None,
    clear: tuple[Literal["max-age-secs", "timeout-secs"], ...] = (),
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Change a dependency; runs that wait are looked at again.

    Example: `runwright jobs dependencies update report dep_0197… --on-miss fail`

    Parameters
    ----------
    job
        Id or slug of the job whose runs wait.
    condition
        How a run of the other job must have ended.
    on_miss
        What becomes of a waiting run when it ends otherwise.
    max_age_secs
        How long ago it may have ended.
    timeout_secs
        How long a run waits before it fails.
    clear
        Term to take away; repeatable.
    project
        Id or slug of the job's project.
    """
    terms = {**_terms(condition, on_miss, max_age_secs, timeout_secs)} | {
        name.replace("-", "_"): None for name in clear
    }
    if not terms:
        raise UsageError("There is nothing to change.", "Name at least one term, such as --on-miss fail.")
    with connection.client() as client:
        changed = client.dependencies.update(job, dependency_id, project_id=project, **cast(DependencyTerms, terms))
    printing.show_record(changed, connection.json)


@app.command
def delete(
    job: str,
    dependency_id: str,
    /,
    *,
    project: str | None = None,
    yes: Yes = False,
    connection: Connection = HERE,
) -> None:
    """Delete a dependency; runs that wait for nothing else go on.

    Example: `runwright jobs dependencies delete report dep_0197… --yes`
    """
    confirm(f"This deletes the dependency {dependency_id}; runs that wait for nothing else go on.", yes)
    with connection.client() as client:
        client.dependencies.delete(job, dependency_id, project_id=project)
    if connection.json:
        printing.show_json({"deleted": dependency_id})
    else:
        printing.say(f"deleted {dependency_id}")


@app.command
def status(run_id: str, /, *, connection: Connection = HERE) -> None:
    """Show whether a run has what its job depends on, and if not, why not.

    Example: `runwright jobs dependencies status run_0197…`
    """
    with connection.client() as client:
        found = client.dependencies.status(run_id)
    if connection.json:
        printing.show_json(found.raw)
        return
    columns = ("depends_on_job_id", "condition", "satisfied", "matched_run_id", "reason")
    printing.table(columns, [tuple(getattr(each, name) for name in columns) for each in found.dependencies])


def _terms(
    condition: Condition | None, on_miss: OnMiss | None, max_age_secs: int | None, timeout_secs: int | None
) -> DependencyTerms:
    given = {
        "condition": condition,
        "on_miss": on_miss,
        "max_age_secs": max_age_secs,
        "timeout_secs": timeout_secs,
    }
    return cast(DependencyTerms, {name: value for name, value in given.items() if value is not None})
