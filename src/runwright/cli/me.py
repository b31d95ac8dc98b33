"""`runwright me` and `runwright schemas`: what the server says to whoever asks."""

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection


def me(*, connection: Connection = HERE) -> None:
    """Show whose key this is: its organization, project and user, and what it may do.

    Example: `runwright me --json`
    """
    with connection.client() as client:
        found = client.me()
    if connection.json:
        printing.show_json(found.raw)
        return
    organization, project, user, key = found.organization, found.project, found.user, found.key
    printing.detail(
        [
            ("actor", found.actor),
            ("kind", found.kind),
            ("organization", organization and f"{organization.slug} ({organization.id})"),
            ("project", project and f"{project.slug} ({project.id})"),
            ("user", user and f"{user.name} ({user.id})"),
            ("key", key and f"{key.name} ({key.id})"),
            ("role", found.role),
            ("memberships", ", ".join(f"{m.role} of {m.project_id or m.org_id}" for m in found.memberships)),
            ("expires", found.expires_at),
            ("scopes", " ".join(found.scopes)),
        ]
    )


def schemas(*types: str, connection: Connection = HERE) -> None:
    """Print the JSON Schema of the data of events, by type; of all of them, or of those that are named.

    Example: `runwright schemas run.created step.completed`
    """
    with connection.client() as client:
        found = client.event_schemas()
    printing.show_json({name: found[name] for name in types if name in found} if types else found)
