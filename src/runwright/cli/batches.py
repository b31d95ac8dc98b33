"""`runwright batches`: what was done to many runs at once."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection

app = App(name="batches", help="List and read bulk operations.")


@app.command(name="list")
def list_batches(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List bulk operations, newest first.

    Example: `runwright batches list --project default`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.batches.list(project_id=project, limit=min(limit, 500)).first(limit)
    columns = ("id", "verb", "item_count", "created_count", "created_by", "created_at", "finished_at")
    printing.show_rows(rows, columns, connection.json)


@app.command
def get(batch: str, /, *, connection: Connection = HERE) -> None:
    """Show a bulk operation, and what became of each item.

    Example: `runwright batches get BATCH --json`
    """
    with connection.client() as client:
        found = client.batches.get(batch)
    if connection.json:
        printing.show_json(found.raw)
        return
    printing.detail((name, value) for name, value in found.raw.items() if name != "results")
    columns = ("id", "status", "new_run_id", "code", "error")
    rows = [[getattr(result, column) for column in columns] for result in found.results or []]
    printing.table(columns, rows)
