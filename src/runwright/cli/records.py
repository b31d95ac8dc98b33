"""`runwright runs attempts|children|checkpoints|outputs|usage|…`: what a run left behind."""

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.watching import PATIENCE


def attempts(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the attempts of a run, oldest first.

    Example: `runwright runs attempts RUN`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    columns = ("attempt", "lease_epoch", "executor", "worker_id", "started_at", "ended_at", "outcome", "error_class")
    with connection.client() as client:
        rows = client.runs.attempts(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


def children(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the runs that a run started, oldest first.

    Example: `runwright runs children RUN --json`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    columns = ("id", "status", "job_id", "attempt", "created_at", "finished_at", "error_class")
    with connection.client() as client:
        rows = client.runs.children(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


def lineage(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the runs that continue each other, of which this is one; the first of them first.

    Example: `runwright runs lineage RUN --json`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    columns = ("id", "status", "job_id", "attempt", "created_at", "finished_at", "error_class")
    with connection.client() as client:
        rows = client.runs.lineage(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


def checkpoints(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the checkpoints of a run, oldest first.

    Example: `runwright runs checkpoints RUN --limit 5`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.runs.checkpoints(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, ("sequence", "source", "created_at", "state"), connection.json)


def outputs(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the outputs of a run, the latest of each key.

    Example: `runwright runs outputs RUN --json`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.runs.outputs(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, ("output_key", "created_at", "value"), connection.json)


def effects(run: str, /, *, connection: Connection = HERE) -> None:
    """Tell whether it is safe to resume a run: which effects are finished, would repeat, or are unknown.

    Example: `runwright runs effects RUN`
    """
    with connection.client() as client:
        printing.show_record(client.runs.effects(run), connection.json)


def usage(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List what the run's model calls used, oldest first.

    Example: `runwright runs usage RUN --json`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    columns = ("provider", "model", "prompt_tokens", "completion_tokens", "total_tokens", "cost_microusd", "created_at")
    with connection.client() as client:
        rows = client.runs.usage(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


def tool_calls(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the tools that the run's code called, oldest first.

    Example: `runwright runs tool-calls RUN --limit 5`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    columns = ("tool_name", "status", "duration_ms", "created_at", "input", "output")
    with connection.client() as client:
        rows = client.runs.tool_calls(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


def state(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List what the run keeps under keys.

    Example: `runwright runs state RUN --json`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.runs.state(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, ("state_key", "updated_at", "value"), connection.json)


def chunks(run: str, /, *, after_seq: int = 0, connection: Connection = HERE) -> None:
    """Print the text of the run's streams as it is written, until the run ends.

    Example: `runwright runs chunks RUN`

    Parameters
    ----------
    run
        Id of the run.
    after_seq
        Begin after this event.
    """
    with connection.client() as client:
        for event in client.runs.chunks(run, after_seq, backoff=PATIENCE):
            if connection.json:
                printing.show_line(event.raw)
            else:
                printing.show_piece(event.data["chunk"])


def artifacts(run: str, /, *, limit: int = 50, connection: Connection = HERE) -> None:
    """List the values of a run that lie in artifacts, oldest first.

    Example: `runwright runs artifacts RUN`

    Parameters
    ----------
    run
        Id of the run.
    limit
        At most so many.
    """
    columns = ("kind", "key", "size", "sealed", "digest", "created_at")
    with connection.client() as client:
        rows = client.runs.artifacts(run, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, columns, connection.json)


def value(run: str, digest: str, /, *, connection: Connection = HERE) -> None:
    """Show what an agent run keeps under a digest: what a model was told, a long output of a tool, its last workspace.

    Example: `runwright runs value RUN DIGEST`

    Parameters
    ----------
    run
        Id of the run.
    digest
        The digest that `llm.request` (`prompt`) or `tool.result` (`artifact`, `snapshot.archive_sha256`) names.
    """
    with connection.client() as client:
        found = client.runs.value(run, digest)
    if connection.json:
        printing.show_json(found.raw)
    elif isinstance(found.value, str):
        printing.show_piece(f"{found.value}\n")
    else:
        printing.show_json(found.value)
