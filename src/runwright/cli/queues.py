"""`runwright queues`: what waits to be claimed."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection

app = App(name="queues", help="List, pause and resume queues.")


@app.command(name="list")
def list_queues(*, connection: Connection = HERE) -> None:
    """List the queues that hold ready runs or are paused.

    Example: `runwright queues list --json`
    """
    with connection.client() as client:
        queues = client.queues.list().all()
    if connection.json:
        printing.show_json([queue.raw for queue in queues])
        return
    printing.table(
        ("name", "ready", "paused", "since", "by"),
        [(q.name, f"{q.ready}+" if q.capped else q.ready, q.paused, q.paused_at, q.paused_by) for q in queues],
    )


@app.command
def pause(queue: str, /, *, connection: Connection = HERE) -> None:
    """Let nobody take from a queue any more; what executes goes on.

    Example: `runwright queues pause reports`

    Parameters
    ----------
    queue
        Name of the queue; it need not hold anything yet.
    """
    with connection.client() as client:
        printing.show_record(client.queues.pause(queue), connection.json)


@app.command
def resume(queue: str, /, *, connection: Connection = HERE) -> None:
    """Let workers take from a queue again.

    Example: `runwright queues resume reports`

    Parameters
    ----------
    queue
        Name of the queue.
    """
    with connection.client() as client:
        printing.show_record(client.queues.resume(queue), connection.json)
