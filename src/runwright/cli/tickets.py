"""`runwright tickets`: let a browser open a stream."""

from cyclopts import App

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection

app = App(name="tickets", help="Make tickets for browsers.")


@app.command
def create(path: str, /, *, connection: Connection = HERE) -> None:
    """Make a ticket for one path: what a browser, which cannot send a header, gives as `?ticket=`.

    Example: `runwright tickets create /v1/feed`

    Parameters
    ----------
    path
        The one path that it opens, without a query.
    """
    with connection.client() as client:
        printing.show_record(client.tickets.create(path), connection.json)
