"""`runwright runtime`: runs as the runtime surface shows them."""

from typing import Any, Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import order_of, words

Mode = Literal["advice", "audit_readonly", "edit_gated", "autonomous_gated"]
app = App(name="runtime", help="Make runtime runs; see runs of every kind as the runtime surface shows them.")
runs = App(name="runs", help="Make a run, list runs, read where one stands and what happened in it, stop it.")
app.command(runs)

COLUMNS = ("run_id", "kind", "status", "current_stage", "total_events", "created_at", "ended_at")
EVENT_COLUMNS = ("seq", "ts", "type", "actor", "summary")


@runs.command
def create(
    *,
    order: str | None = None,
    mode: Mode | None = None,
    repo: str | None = None,
    ref: str | None = None,
    objective: str | None = None,
    command: tuple[str, ...] = (),
    task: str | None = None,
    model: str | None = None,
    idempotency_key: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make a run that works through steps over a workspace.

    Example: `runwright runtime runs create --mode edit_gated --command "make check"`

    Parameters
    ----------
    order
        The whole order as JSON, @file or - (standard input): steps, budget, policy; other options go on top of it.
    mode
        What the run may do; default: look, and change nothing.
    repo
        Its repository: an http(s) address, or a path that the server takes; default: an empty workspace.
    ref
        A branch, a tag or a commit of it.
    objective
        What it is about, in words.
    command
        A command to run, in words as a shell would split them; may be given again. Instead of the order's steps.
    task
        What a model is to do first, before the commands. Instead of the order's steps.
    model
        The route of the model that is asked, or auto; default: that of the project's default persona.
    idempotency_key
        A name for this order: the same one finds the run that it made.
    """
    asked = order_of(order, model, mode=mode, repo=repo, ref=ref, objective=objective)
    steps: list[dict[str, Any]] = [] if task is None else [{"kind": "agent", "task": task}]
    steps += [{"kind": "command", "command": words(each, "--command")} for each in command]
    if steps:
        asked["steps"] = steps
    with connection.client() as client:
        printing.show_record(client.runtime.create(idempotency_key=idempotency_key, **asked), connection.json)


@runs.command(name="list")
def list_runs(
    *, status: str | None = None, project: str | None = None, limit: int = 50, connection: Connection = HERE
) -> None:
    """List runs of every kind, newest first.

    Example: `runwright runtime runs list --status completed`

    Parameters
    ----------
    status
        Runs that show this word.
    project
        Id or slug of a project; default: all that the key may see.
    limit
        At most so many.
    """
    with connection.client() as client:
        found = client.runtime.list(status=status, project_id=project, limit=min(limit, 500)).first(limit)
        printing.show_rows(found, COLUMNS, connection.json)


@runs.command
def status(
    run: str, /, *, wait: float | None = None, since_seq: int | None = None, connection: Connection = HERE
) -> None:
    """Show where a run stands.

    Example: `runwright runtime runs status run_019a9f3c2b107abc8def0123456789ab --wait 20`

    Parameters
    ----------
    wait
        Wait at most so many seconds for something new.
    since_seq
        What is new comes after this; default: now.
    """
    with connection.client() as client:
        printing.show_record(client.runtime.status(run, wait=wait, since_seq=since_seq), connection.json)


@runs.command
def cancel(run: str, /, *, reason: str | None = None, connection: Connection = HERE) -> None:
    """Ask a run to stop; one that has ended stays as it is.

    Example: `runwright runtime runs cancel run_019a9f3c2b107abc8def0123456789ab --reason "wrong branch"`

    Parameters
    ----------
    reason
        Why; stands in the log.
    """
    with connection.client() as client:
        printing.show_record(client.runtime.cancel(run, reason=reason), connection.json)


@runs.command
def events(run: str, /, *, after: str | None = None, limit: int = 500, connection: Connection = HERE) -> None:
    """Show what happened in a run, an event a line, each with the hash that it links to.

    Example: `runwright runtime runs events run_019a9f3c2b107abc8def0123456789ab --json`

    Parameters
    ----------
    after
        The events after this one, by its id.
    limit
        At most so many.
    """
    with connection.client() as client:
        found = client.runtime.events(run, after_event_id=after, limit=limit).raw["events"]
    if connection.json:
        printing.show_json(found)
        return
    rows = [{**event, "summary": event["payload"]["summary"]} for event in found]
    printing.table(EVENT_COLUMNS, [[row[column] for column in EVENT_COLUMNS] for row in rows])
