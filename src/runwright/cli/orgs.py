"""`runwright orgs`: organizations, which see nothing of each other."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection

app = App(name="orgs", help="List, read, make and rename organizations.")

COLUMNS = ("id", "slug", "name", "created_at")


@app.command(name="list")
def list_orgs(*, limit: int = 50, connection: Connection = HERE) -> None:
    """List the organizations that the key sees: its own.

    Example: `runwright orgs list --json`

    Parameters
    ----------
    limit
        At most so many.
    """
    with connection.client() as client:
        printing.show_rows(client.organizations.list(limit=min(limit, 500)).first(limit), COLUMNS, connection.json)


@app.command
def get(org: str, /, *, connection: Connection = HERE) -> None:
    """Show an organization, by id or slug.

    Example: `runwright orgs get default`
    """
    with connection.client() as client:
        printing.show_record(client.organizations.get(org), connection.json)


@app.command
def create(slug: str, /, *, name: str | None = None, connection: Connection = HERE) -> None:
    """Make an organization with a project, a user and an admin key, whose token is shown this once.

    Example: `runwright orgs create acme --name "Acme Ltd"`

    Parameters
    ----------
    slug
        Name of the organization in commands and addresses.
    name
        Name for people; default: the slug.
    """
    fields = {"slug": slug} | ({} if name is None else {"name": name})
    with connection.client() as client:
        printing.show_record(client.organizations.create(**fields), connection.json)
    if not connection.json:
        printing.note("The token is not shown again: keep it now.")


@app.command
def update(org: str, /, *, name: str, connection: Connection = HERE) -> None:
    """Rename an organization.

    Example: `runwright orgs update default --name "Acme Ltd"`

    Parameters
    ----------
    org
        Id or slug.
    name
        Its new name for people.
    """
    with connection.client() as client:
        printing.show_record(client.organizations.update(org, name=name), connection.json)
