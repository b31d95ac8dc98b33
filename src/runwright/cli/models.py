"""`runwright models`: which models may be asked, what they cost, what they lack, and their ranking."""

from typing import Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.client.kpi_models import CatalogModel
from runwright.client.thread_models import Model, ModelPrice

app = App(name="models", help="List the models that routes lead to, their prices, what they lack, and their ranking.")

COLUMNS = ("route", "kind", "model", "context", "longest answer", "$ in", "$ cached", "$ out", "ready")
RANKS = ("place", "route", "model", "$ in", "$ out", "own runs", "own success", "own latency", "score")
TERMS = ("route", "term", "found", "n", "worth", "weight", "how")


@app.default
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


@app.command
def catalog(
    *,
    role: Literal["orchestrator", "subagent", "judge"] = "orchestrator",
    min_context: int | None = None,
    max_cost: float | None = None,
    capability: list[str] | None = None,
    explain: bool = False,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Rank a project's models for a role: by price, by what its own runs with them came to, and how fast they answered.

    Example: `runwright models catalog --role judge --max-cost 2 --explain`

    Parameters
    ----------
    role
        What the model is to do.
    min_context
        Tokens that must fit, at least.
    max_cost
        Dollars per million tokens at most, three of them prompt to one of answer.
    capability
        What it must be able to do: tools, images, streaming; may be given several times.
    explain
        Show each term of each score.
    project
        Id or slug of a project; default: the key's.
    """
    with connection.client() as client:
        found = client.models.catalog(
            role=role,
            min_context=min_context,
            max_cost=max_cost,
            capability=capability,
            explain="1" if explain else None,
            project_id=project,
        )
    if connection.json:
        printing.show_json(found.raw)
        return
    ranked = sorted((model for model in found.models if role in model.rank), key=lambda each: _place(each, role))
    printing.table(RANKS, [_rank(model, role) for model in ranked])
    if explain:
        terms = [_term(model, name, term) for model in ranked for name, term in model.rank[role]["signals"].items()]
        printing.table(TERMS, terms)
    for model in found.models:
        if role not in model.rank:
            printing.note(f"{model.id}: {model.excluded} {model.access.get('reason') or ''}".rstrip())


def _place(model: CatalogModel, role: str) -> int:
    return int(model.rank[role]["position"])


def _rank(model: CatalogModel, role: str) -> tuple[object, ...]:
    pricing, history, rank = model.pricing, model.history, model.rank[role]
    dollars = ("not known", "-") if pricing["unpriced"] else (f"{pricing['input']:g}", f"{pricing['output']:g}")
    success = None if history["success_rate"] is None else f"{history['success_rate']:.1%}"
    latency = printing.duration(history["latency_p50_ms"])
    return (rank["position"], model.id, model.model, *dollars, history["runs"], success, latency, rank["score"])


def _term(model: CatalogModel, name: str, term: dict[str, object]) -> tuple[object, ...]:
    return (model.id, name, term["value"], term["n"], term["worth"], term["weight"], term["source"])


def _cells(row: Model) -> tuple[object, ...]:
    size = (row.context_window, row.max_output_tokens)
    return (row.route, row.kind, row.model, *size, *_dollars(row.price), row.ready)


def _dollars(price: ModelPrice | None) -> tuple[str, ...]:
    if price is None:
        return ("not known", "-", "-")
    return tuple(f"{microusd / 1e6:g}" for microusd in (price.input, price.cached, price.output))
