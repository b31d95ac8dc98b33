"""`runwright audit`: who changed what, and whether the log of it is whole."""

from typing import Any

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK
from runwright.cli.inputs import instant

app = App(name="audit", help="Read and verify the audit log.")


@app.command(name="list")
def list_entries(
    *,
    actor: str | None = None,
    action: str | None = None,
    target: str | None = None,
    created_after: str | None = None,
    created_before: str | None = None,
    oldest_first: bool = False,
    limit: int = 50,
    connection: Connection = HERE,
) -> None:
    """List entries, newest first.

    Example: `runwright audit list --action key.created --created-after 2026-01-01T00:00:00Z`

    Parameters
    ----------
    actor
        Who did it, such as user:user_….
    action
        What was done, such as key.created.
    target
        Id of what it was done to.
    created_after
        Entries after this instant, such as 2027-01-01T00:00:00Z.
    created_before
        Entries before this instant.
    oldest_first
        Oldest first.
    limit
        Most entries to list.
    """
    filters: dict[str, Any] = {"actor": actor, "action": action, "target": target}
    filters |= {"order": "asc" if oldest_first else None}
    if created_after is not None:
        filters["created_after"] = instant(created_after, "--created-after")
    if created_before is not None:
        filters["created_before"] = instant(created_before, "--created-before")
    with connection.client() as client:
        entries = client.audit.list(limit=max(1, min(limit, 500)), **filters).first(limit)
    if connection.json:
        printing.show_json([entry.raw for entry in entries])
        return
    printing.table(
        ("number", "created", "actor", "action", "target", "data"),
        [(e.number, e.created_at, e.actor, e.action, e.target, e.data or None) for e in entries],
    )


@app.command
def verify(*, head: str | None = None, connection: Connection = HERE) -> int:
    """Verify the log from its first entry to its end; exits with 1 and names the first entry that is not as it was.

    Example: `runwright audit verify --head 17:9f86d081884c7d65`

    Parameters
    ----------
    head
        NUMBER:HASH that an earlier verification printed and that was kept elsewhere: the log must still hold it.
    """
    with connection.client() as client:
        verdict = client.audit.verify(head=head)
    told, broken = verdict.head or {}, verdict.first_break
    if connection.json:
        printing.show_json(verdict.raw)
    elif broken is None:
        printing.say(f"whole: {verdict.verified} entries, head {told.get('number')}:{told.get('hash')}")
    else:
        printing.fail(
            f"entry {broken.get('number')} was {broken.get('what')}; the {verdict.verified} before it are whole",
            "Compare it with a backup: somebody changed the database itself.",
        )
    return OK if broken is None else FAILED
