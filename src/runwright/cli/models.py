"""`runwright models`: which models may be asked, what they cost, and what the server lacks to ask them."""

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.client.thread_models import Model, ModelPrice

COLUMNS = ("route", "kind", "model", "context", "longest answer", "$ in", "$ cached", "$ out", "ready")


def models(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List the models that routes lead to, with dollars per million tokens, and what the server lacks to ask one.

    The model in the server's own process (route `local`) is ready where the extra `local-model` and the model itself
    are installed there.

    Example: `runwright models`

    Parameters
    ----------
    project
        Id or slug of a project; default: all.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.models.list(project_id=project, limit=min(limit, 500)).first(limit)
    if connection.json:
        printing.show_json([row.raw for row in rows])
        return
    printing.table(COLUMNS, map(_cells, rows))
    for row in rows:
        if row.problem:
            printing.note(f"{row.route}: {row.problem}")


def _cells(row: Model) -> tuple[object, ...]:
    size = (row.context_window, row.max_output_tokens)
    return (row.route, row.kind, row.model, *size, *_dollars(row.price), row.ready)


def _dollars(price: ModelPrice | None) -> tuple[str, ...]:
    if price is None:
        return ("not known", "-", "-")
    return tuple(f"{microusd / 1e6:g}" for microusd in (price.input, price.cached, price.output))
