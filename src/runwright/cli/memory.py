"""`runwright jobs memory`: what the runs of a job keep for each other."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection

app = App(name="memory", help="List and erase what jobs remember between their runs.")


@app.command(name="list")
def list_memory(job: str, /, *, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List what a job remembers, by key; secrets are taken out.

    Example: `runwright jobs memory list report`

    Parameters
    ----------
    job
        Id or slug.
    project
        Id or slug of its project.
    limit
        At most so many.
    """
    columns = ("memory_key", "value", "run_id", "expires_at", "updated_at")
    with connection.client() as client:
        rows = client.jobs.memory(job, project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


@app.command
def erase(job: str, key: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Erase a value that a job remembers.

    Example: `runwright jobs memory erase report cursor`

    Parameters
    ----------
    job
        Id or slug.
    key
        Key of the value.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        client.jobs.erase_memory(job, key, project_id=project)
    if connection.json:
        printing.show_json({"erased": key})
    else:
        printing.say(f"erased {key}")
