"""`runwright members`: who has which role."""

from typing import Any, Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.inputs import Yes, confirm

app = App(name="members", help="List, add, change and remove members and their roles.")

Role = Literal["viewer", "operator", "approver", "admin"]


@app.command(name="list")
def list_members(*, limit: int = 50, connection: Connection = HERE) -> None:
    """List the members of the organization and of its projects.

    Example: `runwright members list --json`
    """
    with connection.client() as client:
        members = client.members.list(limit=min(limit, 500)).first(limit)
    if connection.json:
        printing.show_json([member.raw for member in members])
        return
    printing.table(
        ("id", "user", "role", "project", "created", "by"),
        [(m.id, m.user_id, m.role, m.project_id, m.created_at, m.created_by) for m in members],
    )


@app.command
def get(member: str, /, *, connection: Connection = HERE) -> None:
    """Show a member.

    Example: `runwright members get MEMBER`

    Parameters
    ----------
    member
        Id of the member.
    """
    with connection.client() as client:
        printing.show_record(client.members.get(member), connection.json)


@app.command
def add(user: str, role: Role, /, *, project: str | None = None, connection: Connection = HERE) -> None:
    """Give a user a role.

    Example: `runwright members add USER operator --project default`

    Parameters
    ----------
    user
        Id of the user.
    role
        What they may do: a viewer reads, an operator runs jobs, an approver decides, an admin does everything.
    project
        Id or slug of the one project that the role is good for; default: all of the organization.
    """
    fields: dict[str, Any] = {"user_id": user, "role": role}
    if project is not None:
        fields["project_id"] = project
    with connection.client() as client:
        printing.show_record(client.members.create(**fields), connection.json)


@app.command(name="set")
def set_role(member: str, role: Role, /, *, connection: Connection = HERE) -> None:
    """Give a member another role; it counts from now on, for logins and keys alike.

    Example: `runwright members set MEMBER viewer`

    Parameters
    ----------
    member
        Id of the member.
    role
        The new role.
    """
    with connection.client() as client:
        printing.show_record(client.members.update(member, role=role), connection.json)


@app.command
def remove(member: str, /, *, yes: Yes = False, connection: Connection = HERE) -> None:
    """End a membership, at once.

    Example: `runwright members remove MEMBER --yes`

    Parameters
    ----------
    member
        Id of the member.
    """
    confirm(f"This ends the membership {member}: what its user may do there ends with it.", yes)
    with connection.client() as client:
        removed = client.members.remove(member)
    if connection.json:
        printing.show_json(removed.raw)
    else:
        printing.say(f"removed {member}")
