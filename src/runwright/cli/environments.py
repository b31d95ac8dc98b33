"""`runwright environments`: what the code of jobs is given beside its payload."""

from typing import Any, cast

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm, pairs
from runwright.client.fields import EnvironmentChanges, EnvironmentFields

app = App(name="environments", help="List, read, make, change and delete environments.")

COLUMNS = ("id", "name", "project_id", "variables", "description", "updated_at")


@app.command(name="list")
def list_environments(*, project: str | None = None, limit: int = 50, connection: Connection = HERE) -> None:
    """List environments.

    Example: `runwright environments list --project default`

    Parameters
    ----------
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        rows = client.environments.list(project_id=project, limit=min(limit, 500)).first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(environment: str, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Show an environment, by id or name.

    Example: `runwright environments get staging`

    Parameters
    ----------
    environment
        Id or name.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        printing.show_record(client.environments.get(environment, project_id=project), connection.json)


@app.command
def create(
    name: str,
    /,
    *,
    variable: tuple[str, ...] = (),
    description: str | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make an environment.

    Example: `runwright environments create staging --variable REGION=eu`

    Parameters
    ----------
    name
        Name that jobs give as their `environment`.
    variable
        KEY=VALUE, for all to see; repeatable.
    description
        What it is for.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    given: dict[str, Any] = {"name": name, "description": description, "project_id": project}
    given["variables"] = pairs(variable, "--variable") or None
    fields = {field: value for field, value in given.items() if value is not None}
    with connection.client() as client:
        printing.show_record(client.environments.create(**cast(EnvironmentFields, fields)), connection.json)


@app.command
def update(
    environment: str,
    /,
    *,
    variable: tuple[str, ...] = (),
    description: str | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Change an environment.

    Example: `runwright environments update staging --variable REGION=us --variable LEVEL=debug`

    Parameters
    ----------
    environment
        Id or name.
    variable
        KEY=VALUE; repeatable; those that are given replace all.
    description
        What it is for.
    project
        Id or slug of its project.
    """
    given: dict[str, Any] = {"description": description, "variables": pairs(variable, "--variable") or None}
    fields = {field: value for field, value in given.items() if value is not None}
    if not fields:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --variable REGION=us.")
    with connection.client() as client:
        changed = client.environments.update(environment, project_id=project, **cast(EnvironmentChanges, fields))
        printing.show_record(changed, connection.json)


@app.command
def delete(environment: str, /, *, project: str | None = None, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete an environment that no job names, with its secrets.

    Example: `runwright environments delete staging --yes`

    Parameters
    ----------
    environment
        Id or name.
    project
        Id or slug of its project.
    """
    with connection.client() as client:
        if not yes:
            found = client.environments.get(environment, project_id=project)
            confirm(f"This deletes the environment {found.name} ({found.id}) with its secrets.", yes)
        client.environments.delete(environment, project_id=project)
    if connection.json:
        printing.show_json({"deleted": environment})
    else:
        printing.say(f"deleted {environment}")
