"""`runwright feed`: the state changes of all runs, as they happen."""

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection


def feed(*, project: str | None = None, changes: int | None = None, connection: Connection = HERE) -> None:
    """Show the state changes of all runs that the key may see, as they happen.

    Example: `runwright feed --changes 10 --json`

    Parameters
    ----------
    project
        Id or slug of a project; default: all.
    changes
        End after so many; default: go on until interrupted.
    """
    seen = 0
    with connection.client() as client:
        for change in client.feed(project_id=project):
            if change is None:
                printing.note("resync: changes before this one may be missing; `runwright runs list` shows all")
                continue
            if connection.json:
                printing.show_line(change.raw)
            else:
                at = change.at.astimezone().strftime("%H:%M:%S.%f")[:-3] if change.at else "-"
                why = f" ({change.reason})" if change.reason else ""
                printing.say(f"{at}  {change.run_id}  {change.status}{why}")
            seen += 1
            if changes is not None and seen >= changes:
                return
