"""`runwright inputs`: what runs ask, and what is said to them."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import read_text

app = App(name="inputs", help="List what runs ask, and answer it.")

COLUMNS = ("run_id", "request_id", "kind", "prompt", "expires_at", "created_at")


@app.command(name="list")
def list_inputs(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List what runs ask and wait for.

    Example: `runwright inputs list`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.inputs.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def send(
    run: str,
    content: str,
    /,
    *,
    request: str | None = None,
    steer: bool = False,
    connection: Connection = HERE,
) -> None:
    """Answer what a run asks, or say something by the way.

    Example: `runwright inputs send RUN yes`

    Parameters
    ----------
    run
        Id of the run.
    content
        The answer: a text, the form as JSON, @FILE, or - for standard input.
    request
        Id of the request that it answers; default: the one that waits.
    steer
        Say it by the way: the run hears it at its next turn.
    """
    mode = "steer" if steer else "answer"
    with connection.client() as client:
        said = client.inputs.send(run, read_text(content), request_id=request, mode=mode)
    printing.show_record(said, connection.json)
