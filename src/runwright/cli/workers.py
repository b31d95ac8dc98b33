"""`runwright workers`: who executes runs elsewhere."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import Yes, confirm

app = App(name="workers", help="List, read and drain the workers elsewhere.")


@app.command(name="list")
def list_workers(*, limit: int = 50, connection: Connection = HERE) -> None:
    """List the workers that claim runs over REST, newest first, those that are gone for a while too.

    Example: `runwright workers list --limit 10`

    Parameters
    ----------
    limit
        At most so many.
    """
    with connection.client() as client:
        workers = client.workers.list(limit=min(limit, 500)).first(limit)
    if connection.json:
        printing.show_json([worker.raw for worker in workers])
        return
    printing.table(
        ("id", "name", "version", "status", "busy", "slots", "queues", "seen"),
        [
            (w.id, w.name, w.version, w.status, w.busy, w.slots, " ".join(w.queues) or "(all)", w.seen_at)
            for w in workers
        ],
    )


@app.command
def get(worker: str, /, *, connection: Connection = HERE) -> None:
    """Show a worker: its handlers, queues and version, how busy it is, when it was last heard of.

    Example: `runwright workers get WORKER --json`

    Parameters
    ----------
    worker
        Id of the worker.
    """
    with connection.client() as client:
        printing.show_record(client.workers.get(worker), connection.json)


@app.command
def drain(worker: str, /, *, yes: Yes = False, connection: Connection = HERE) -> None:
    """Ask a worker to take no more runs, and to end when those that it has have ended.

    Example: `runwright workers drain WORKER --yes`

    Parameters
    ----------
    worker
        Id of the worker.
    """
    with connection.client() as client:
        if not yes:
            found = client.workers.get(worker)
            confirm(f"This ends the worker {found.name} ({found.id}), which executes {found.busy} runs now.", yes)
        printing.show_record(client.workers.drain(worker), connection.json)
