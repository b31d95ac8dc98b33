"""`runwright workflows`: steps over jobs, each released by the end of those before it."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import OK, UsageError
from runwright.cli.inputs import Yes, confirm, json_object, json_objects, pairs
from runwright.cli.watching import exit_code, show_end, watch
from runwright.client.workflow_models import WorkflowChanges, WorkflowFields, WorkflowTrigger

app = App(name="workflows", help="List, read, create, change, start and delete workflows.")

STEPS = '[{"key": "fetch", "job": "fetch"}, {"key": "send", "job": "mail", "depends_on": ["fetch"]}]'
COLUMNS = ("slug", "id", "version", "enabled", "updated_at")
STEP_COLUMNS = ("step_key", "job", "status", "run_id", "attempt", "started_at", "finished_at", "error")


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """The fields of a workflow; one that is not given stays as it is, or at the server's default."""

    name: str | None = None
    "Name for people"
    description: str | None = None
    "What it is for"
    timeout_secs: int | None = None
    "A run that takes longer fails, with all its steps"
    enabled: Annotated[bool | None, Parameter(negative="--disabled")] = None
    "Whether it starts runs"

    def given(self) -> dict[str, Any]:
        """Return what was given, as the API takes it."""
        names = ("name", "description", "timeout_secs", "enabled")
        return {name: value for name in names if (value := getattr(self, name)) is not None}


NO_OPTIONS = Options()


@app.command(name="list")
def list_workflows(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List workflows.

    Example: `runwright workflows list --project default`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.workflows.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(workflow: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show a workflow, by id or slug.

    Example: `runwright workflows get nightly`

    Parameters
    ----------
    workflow
        Id or slug.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.workflows.get(workflow, project_id=project), connection.json)


@app.command
def create(
    slug: str,
    /,
    *,
    steps: str,
    options: Options = NO_OPTIONS,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Create a workflow.

    Example: `runwright workflows create nightly --steps @steps.json`

    Parameters
    ----------
    slug
        Name that the project calls it by.
    steps
        JSON list of its steps, @FILE, or - for standard input.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    fields = {"slug": slug, "steps": json_objects(steps, "--steps", STEPS), **options.given()}
    fields |= {} if project is None else {"project_id": project}
    with connection.client() as client:
        printing.show_record(client.workflows.create(**cast(WorkflowFields, fields)), connection.json)


@app.command
def update(
    workflow: str,
    /,
    *,
    slug: str | None = None,
    steps: str | None = None,
    clear: tuple[Literal["timeout-secs"], ...] = (),
    options: Options = NO_OPTIONS,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Change a workflow; runs keep the version that they started with.

    Example: `runwright workflows update nightly --steps @steps.json --timeout-secs 3600`

    Parameters
    ----------
    workflow
        Id or slug.
    slug
        Another slug.
    steps
        JSON list of all its steps, @FILE, or - for standard input.
    clear
        Field to take away; repeatable.
    project
        Id or slug of its project.
    """
    fields = {**options.given(), **{name.replace("-", "_"): None for name in clear}}
    fields |= {} if slug is None else {"slug": slug}
    fields |= {} if steps is None else {"steps": json_objects(steps, "--steps", STEPS)}
    if not fields:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --steps @steps.json.")
    with connection.client() as client:
        changed = client.workflows.update(workflow, project_id=project, **cast(WorkflowChanges, fields))
    printing.show_record(changed, connection.json)


@app.command
def delete(workflow: str, /, *, project: str | None = None, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete a workflow; its runs stay, and those under way go on.

    Example: `runwright workflows delete nightly --yes`

    Parameters
    ----------
    workflow
        Id or slug.
    project
        Id or slug of its project.
    """
    confirm(f"This deletes the workflow {workflow}; runs of it that are under way go on.", yes)
    with connection.client() as client:
        client.workflows.delete(workflow, project_id=project)
    if connection.json:
        printing.show_json({"deleted": workflow})
    else:
        printing.say(f"deleted {workflow}")


@app.command
def versions(workflow: str, /, *, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List the versions of a workflow, oldest first.

    Example: `runwright workflows versions nightly`

    Parameters
    ----------
    workflow
        Id or slug.
    project
        Id or slug of its project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.workflows.versions(workflow, project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, ("version", "id", "enabled", "created_at", "created_by"), connection.json)


@app.command
def trigger(
    workflow: str,
    /,
    *,
    payload: Annotated[str | None, Parameter(alias="-p", allow_leading_hyphen=True)] = None,
    tag: tuple[str, ...] = (),
    metadata: tuple[str, ...] = (),
    idempotency_key: str | None = None,
    debug: bool = False,
    watch_it: Annotated[bool, Parameter(name="--watch")] = False,
    project: str | None = None,
    connection: Connection = HERE,
) -> int:
    """Start a run of a workflow.

    Example: `runwright workflows trigger nightly --payload '{"day": "2026-11-22"}' --watch`

    Parameters
    ----------
    workflow
        Id or slug.
    payload
        JSON object, @FILE, or - for standard input.
    tag
        KEY=VALUE; repeatable.
    metadata
        KEY=VALUE; repeatable.
    idempotency_key
        The same key makes the same run, however often it is sent.
    debug
        Record what is handed over to the attempts of its steps, and what comes back.
    watch_it
        Follow the run to its end and exit as it ended: 0 completed, 1 failed, 3 cancelled.
    project
        Id or slug of its project.
    """
    given: dict[str, Any] = {"idempotency_key": idempotency_key, "debug_mode": debug or None}
    given |= {"tags": pairs(tag, "--tag") or None, "metadata": pairs(metadata, "--metadata") or None}
    options = {name: value for name, value in given.items() if value is not None}
    body = None if payload is None else json_object(payload, "--payload")
    with connection.client() as client:
        run = client.workflows.trigger(workflow, body, project_id=project, **cast(WorkflowTrigger, options))
        if watch_it:
            ended = watch(client, run.id, as_json=connection.json)
            if not connection.json:
                show_end(ended)
            return exit_code(ended)
    if connection.json:
        printing.show_json(run.raw)
    else:
        printing.say(f"{run.id}  {run.status}")
        printing.note(f"see its steps: runwright workflows steps {run.id}")
    return OK


@app.command
def steps(run: str, /, *, connection: Connection = HERE) -> None:
    """List the steps of a workflow's run, with how each stands.

    Example: `runwright workflows steps run_0197…`

    Parameters
    ----------
    run
        Id of the workflow's run.
    """
    with connection.client() as client:
        rows = client.workflows.steps(run)
    printing.show_rows(rows, STEP_COLUMNS, connection.json)
