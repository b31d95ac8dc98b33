"""`runwright runtime`: runs as the runtime surface shows them."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection

app = App(name="runtime", help="See runs of every kind as the runtime surface shows them, and stop them.")
runs = App(name="runs", help="List runs, read where one stands and what happened in it, stop it.")
app.command(runs)

COLUMNS = ("run_id", "kind", "status", "current_stage", "total_events", "created_at", "ended_at")
EVENT_COLUMNS = ("seq", "ts", "type", "actor", "summary")


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
def status(run: str, /, *, connection: Connection = HERE) -> None:
    """Show where a run stands.

    Example: `runwright runtime runs status run_019a9f3c2b107abc8def0123456789ab`
    """
    with connection.client() as client:
        printing.show_record(client.runtime.status(run), connection.json)


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
