"""`runwright secrets`: values that go in, and come out in the code of jobs alone."""

import sys

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm, read_text

app = App(name="secrets", help="List, make, replace and delete secrets; no command shows a value.")

COLUMNS = ("id", "name", "project_id", "environment_id", "version", "updated_at")


@app.command(name="list")
def list_secrets(
    *,
    environment: str | None = None,
    project: str | None = None,
    limit: int = 50,
    connection: Connection = HERE,
) -> None:
    """List secrets, without their values.

    Example: `runwright secrets list --project default`

    Parameters
    ----------
    environment
        Id or name of the environment that they belong to.
    project
        Id or slug of their project.
    limit
        At most so many.
    """
    with connection.client() as client:
        pages = client.secrets.list(project_id=project, environment=environment, limit=min(limit, 500))
        rows = pages.first(limit)
    printing.show_rows(rows, COLUMNS, connection.json)


@app.command
def get(secret: str, /, *, connection: Connection = HERE) -> None:
    """Show what is known of a secret but its value.

    Example: `runwright secrets get SECRET`
    """
    with connection.client() as client:
        printing.show_record(client.secrets.get(secret), connection.json)


@app.command
def create(
    name: str,
    value: str = "-",
    /,
    *,
    environment: str | None = None,
    project: str | None = None,
    connection: Connection = HERE,
) -> None:
    """Make a secret; its value is read from standard input or a file, so that no list of processes shows it.

    Example: `runwright secrets create API_KEY @key.txt --environment staging`

    Parameters
    ----------
    name
        Name by which handlers ask for it.
    value
        @FILE, or - for standard input; a line break at its end is left out.
    environment
        Id or name of the environment that it belongs to; default: all jobs of the project are given it.
    project
        Id or slug of its project; default: the key's, else `default`.
    """
    text = _value(value)
    with connection.client() as client:
        made = client.secrets.create(name, text, environment=environment, project_id=project)
        printing.show_record(made, connection.json)


@app.command
def replace(secret: str, value: str = "-", /, *, connection: Connection = HERE) -> None:
    """Give a secret a new value, which attempts that begin from now on are given.

    Example: `runwright secrets replace SECRET @key.txt`

    Parameters
    ----------
    secret
        Id of the secret.
    value
        @FILE, or - for standard input; a line break at its end is left out.
    """
    text = _value(value)
    with connection.client() as client:
        printing.show_record(client.secrets.replace(secret, text), connection.json)


@app.command
def delete(secret: str, /, *, yes: Yes = False, connection: Connection = HERE) -> None:
    """Delete a secret: attempts that begin from now on are not given it.

    Example: `runwright secrets delete SECRET --yes`
    """
    with connection.client() as client:
        if not yes:
            found = client.secrets.get(secret)
            confirm(f"This deletes the secret {found.name} ({found.id}), now in version {found.version}.", yes)
        client.secrets.delete(secret)
    if connection.json:
        printing.show_json({"deleted": secret})
    else:
        printing.say(f"deleted {secret}")


def _value(source: str) -> str:
    if source != "-" and not source.startswith("@"):
        raise UsageError("A value is not written on the command line, where others see it.", "Give @FILE or -.")
    if source == "-" and sys.stdin.isatty():
        printing.note("Type the value, then Enter and Ctrl-D.")
    return read_text(source).removesuffix("\n").removesuffix("\r")
