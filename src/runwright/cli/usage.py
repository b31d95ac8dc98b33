"""`runwright usage`: what models used and cost."""

from typing import Any

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import instant
from runwright.client.usage import By
from runwright.client.usage_models import UsageRow

KEYS: dict[By, tuple[str, ...]] = {
    "total": (),
    "day": ("day",),
    "model": ("provider", "model"),
    "user": ("user_id",),
    "thread": ("thread_id",),
    "persona": ("persona_id",),
    "project": ("project_id",),
}
HEADS = ("calls", "input", "cached", "output", "cost", "credits", "cache")


def usage(
    *,
    by: By = "day",
    since: str | None = None,
    until: str | None = None,
    project: str | None = None,
    model: str | None = None,
    user: str | None = None,
    thread: str | None = None,
    persona: str | None = None,
    limit: int = 50,
    connection: Connection = HERE,
) -> None:
    """Show what the models of agent runs used and cost, in the last 30 days.

    Example: `runwright usage --by model --since 2026-11-01T00:00:00Z`

    Parameters
    ----------
    by
        What to add up by: day, model, user, thread, persona, project, or total.
    since
        From this instant on, such as 2027-01-01T00:00:00Z.
    until
        Until this instant.
    project
        Id or slug of a project; default: all that the key may see.
    model
        Calls of one model.
    user
        Calls of the runs of one user, by id.
    thread
        Calls of one thread, by id.
    persona
        Calls of one version of a persona: `key@version`.
    limit
        At most so many rows.
    """
    asked: dict[str, Any] = {"project_id": project, "model": model, "user_id": user, "thread_id": thread}
    asked |= {"persona_id": persona}
    if since is not None:
        asked["since"] = instant(since, "--since")
    if until is not None:
        asked["until"] = instant(until, "--until")
    with connection.client() as client:
        rows = client.usage.report(by, limit=max(1, min(limit, 500)), **asked).first(limit)
    if connection.json:
        printing.show_json([row.raw for row in rows])
        return
    heads = [*(key.removesuffix("_id") for key in KEYS[by]), *HEADS]
    printing.table(heads, [[*(getattr(row, key) for key in KEYS[by]), *_cells(row)] for row in rows])
    if any(row.unpriced_calls for row in rows):
        printing.note("a cost marked ≥ leaves out calls whose price nobody knows; give their routes a price")


def _cells(row: UsageRow) -> list[Any]:
    cost = None if row.total_cost_usd is None else f"${row.total_cost_usd:.6f}"
    if cost is not None and row.unpriced_calls:
        cost = f"≥ {cost}"
    cached = None if row.cache_hit_rate is None else f"{row.cache_hit_rate:.1%}"
    return [row.calls, row.input_tokens, row.cached_tokens, row.output_tokens, cost, row.credits_used, cached]
