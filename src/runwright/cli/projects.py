"""`runwright projects`: what owns jobs and runs."""

from typing import Any

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError

app = App(name="projects", help="List, read, make and change projects.")

COLUMNS = ("id", "slug", "name", "weight", "max_concurrency", "retention_days", "created_at")


@app.command(name="list")
def list_projects(*, limit: int = 50, connection: Connection = HERE) -> None:
    """List the projects that the key sees.

    Example: `runwright projects list`

    Parameters
    ----------
    limit
        At most so many.
    """
    with connection.client() as client:
        printing.show_rows(client.projects.list(limit=min(limit, 500)).first(limit), COLUMNS, connection.json)


@app.command
def get(project: str, /, *, connection: Connection = HERE) -> None:
    """Show a project, by id or slug.

    Example: `runwright projects get default`
    """
    with connection.client() as client:
        printing.show_record(client.projects.get(project), connection.json)


@app.command
def create(
    slug: str,
    /,
    *,
    name: str | None = None,
    weight: float | None = None,
    max_concurrency: int | None = None,
    retention_days: float | None = None,
    connection: Connection = HERE,
) -> None:
    """Make a project.

    Example: `runwright projects create blue --weight 2 --max-concurrency 10`

    Parameters
    ----------
    slug
        Name of the project in commands and addresses.
    name
        Name for people; default: the slug.
    weight
        Its share of a queue that projects compete for.
    max_concurrency
        Most runs that execute at a time.
    retention_days
        Days that the logs and values of its ended runs are kept; default: as long as the server keeps them.
    """
    asked = {"slug": slug, **_asked(name, weight, max_concurrency, retention_days)}
    fields = {name: value for name, value in asked.items() if value is not None}
    with connection.client() as client:
        printing.show_record(client.projects.create(**fields), connection.json)


@app.command
def update(
    project: str,
    /,
    *,
    name: str | None = None,
    weight: float | None = None,
    max_concurrency: int | None = None,
    unlimited: bool = False,
    retention_days: float | None = None,
    retention_of_server: bool = False,
    connection: Connection = HERE,
) -> None:
    """Change a project; it acts on runs that are made from now on, but retention on all that have ended.

    Example: `runwright projects update blue --unlimited`

    Parameters
    ----------
    project
        Id or slug.
    name
        Its new name for people.
    weight
        Its share of a queue that projects compete for.
    max_concurrency
        Most runs that execute at a time.
    unlimited
        No limit of runs at a time.
    retention_days
        Days that the logs and values of its ended runs are kept, no longer than the server keeps them.
    retention_of_server
        Keep them as long as the server does.
    """
    asked = _asked(name, weight, max_concurrency, retention_days)
    changes = {name: value for name, value in asked.items() if value is not None}
    if unlimited:
        changes["max_concurrency"] = None
    if retention_of_server:
        changes["retention_days"] = None
    if not changes:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --weight 2.")
    with connection.client() as client:
        printing.show_record(client.projects.update(project, **changes), connection.json)


def _asked(
    name: str | None, weight: float | None, max_concurrency: int | None, retention_days: float | None
) -> dict[str, Any]:
    return {"name": name, "weight": weight, "max_concurrency": max_concurrency, "retention_days": retention_days}
