"""`runwright budgets`: how much agent runs may spend together."""

from decimal import Decimal, InvalidOperation

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm

app = App(name="budgets", help="List, read, set and remove the budgets that agent runs share.")

COLUMNS = ("scope", "thread_id", "project_id", "limit_usd", "spent_usd", "reserved_microusd", "resets_at")
MICRO = 1_000_000


@app.command(name="list")
def list_budgets(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List budgets, newest first.

    Example: `runwright budgets list`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.budgets.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(scope: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show a budget as it stands.

    Example: `runwright budgets get day`

    Parameters
    ----------
    scope
        project, day, or the id of a thread.
    project
        Id or slug of the project; default: the key's, else `default`.
    """
    with connection.client() as client:
        printing.show_record(client.budgets.get(scope, project_id=project), connection.json)


@app.command(name="set")
def set_budget(scope: str, usd: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Set how much may be spent, in US dollars; a new budget counts the calls that begin from now on.

    Example: `runwright budgets set day 5.00`

    Parameters
    ----------
    scope
        project (all of its runs), day (its runs of each day, UTC), or the id of a thread.
    usd
        The limit, such as 0.50.
    project
        Id or slug of the project; default: the key's, else `default`.
    """
    limit = _microusd(usd)
    with connection.client() as client:
        printing.show_record(client.budgets.set(scope, limit, project_id=project), connection.json)


@app.command
def remove(scope: str, /, *, project: str | None = None, yes: Yes = False, connection: Connection = HERE) -> None:
    """Remove a budget.

    Example: `runwright budgets remove day --yes`

    Parameters
    ----------
    scope
        project, day, or the id of a thread.
    project
        Id or slug of the project; default: the key's, else `default`.
    """
    with connection.client() as client:
        confirm(f"This removes the budget {scope}: runs spend without it.", yes)
        client.budgets.remove(scope, project_id=project)
    printing.show_json({"removed": scope}) if connection.json else printing.say(f"removed {scope}")


def _microusd(usd: str) -> int:
    try:
        amount = Decimal(usd.removeprefix("$")) * MICRO
    except InvalidOperation:
        amount = Decimal("NaN")
    if not amount.is_finite() or amount < 1 or amount != amount.to_integral_value():
        raise UsageError(f"{usd!r} is no amount of money.", "Give US dollars, such as 0.50; a millionth is the least.")
    return int(amount)
