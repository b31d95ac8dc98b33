"""`runwright users`: the people of the organization."""

from typing import Annotated, Any

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import UsageError
from runwright.cli.inputs import Yes, confirm

app = App(name="users", help="List, read, make and change users.")

COLUMNS = ("id", "name", "email", "enabled", "created_at")


@app.command(name="list")
def list_users(*, limit: int = 50, connection: Connection = HERE) -> None:
    """List the users of the organization.

    Example: `runwright users list`

    Parameters
    ----------
    limit
        At most so many.
    """
    with connection.client() as client:
        printing.show_rows(client.users.list(limit=min(limit, 500)).first(limit), COLUMNS, connection.json)


@app.command
def get(user: str, /, *, connection: Connection = HERE) -> None:
    """Show a user, by id.

    Example: `runwright users get USER --json`
    """
    with connection.client() as client:
        printing.show_record(client.users.get(user), connection.json)


@app.command
def create(name: str, /, *, email: str | None = None, connection: Connection = HERE) -> None:
    """Make a user; `runwright keys create --user ID` makes a key for it.

    Example: `runwright users create Ada --email ada@example.org`

    Parameters
    ----------
    name
        Name for people.
    email
        Address of mail.
    """
    fields = {"name": name} | ({} if email is None else {"email": email})
    with connection.client() as client:
        printing.show_record(client.users.create(**fields), connection.json)


@app.command
def update(
    user: str,
    /,
    *,
    name: str | None = None,
    email: str | None = None,
    enabled: Annotated[bool | None, Parameter(negative="--disabled")] = None,
    yes: Yes = False,
    connection: Connection = HERE,
) -> None:
    """Change a user.

    Example: `runwright users update USER --disabled --yes`

    Parameters
    ----------
    user
        Id of the user.
    name
        Its new name.
    email
        Its new address.
    enabled
        Whether its keys are valid; disabling it ends all of them.
    """
    asked: dict[str, Any] = {"name": name, "email": email, "enabled": enabled}
    changes = {name: value for name, value in asked.items() if value is not None}
    if not changes:
        raise UsageError("There is nothing to change.", "Name at least one field, such as --name NAME.")
    with connection.client() as client:
        if enabled is False and not yes:
            found = client.users.get(user)
            confirm(f"This disables the user {found.id} ({found.name}), and with it all keys of it.", yes)
        printing.show_record(client.users.update(user, **changes), connection.json)
