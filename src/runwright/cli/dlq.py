"""`runwright dlq`: runs that used up their attempts."""

import sys
from typing import Any, Literal

from cyclopts import App

from runwright.cli import printing
from runwright.cli.bulk import chunks, named
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK, UsageError
from runwright.cli.inputs import Ids, Yes, confirm
from runwright.cli.progress import Bar
from runwright.cli.runs import NO_FILTERS, Filters
from runwright.client.sync.api import Client

app = App(name="dlq", help="List, replay and discard dead letters.")


@app.command(name="list")
def list_dead_letters(*, filters: Filters = NO_FILTERS, limit: int = 50, connection: Connection = HERE) -> None:
    """List the runs that used up their attempts and were neither replayed nor discarded, newest first.

    Example: `runwright dlq list --project default --error-class Timeout`

    Parameters
    ----------
    limit
        At most so many.
    """
    asked = filters.given()
    asked["limit"] = min(limit, 500)
    with connection.client() as client:
        if "job_id" in asked:
            asked["job_id"] = client.jobs.get(asked["job_id"], project_id=filters.project).id
        runs = client.dlq.list(**asked).first(limit)
    printing.show_rows(runs, ("id", "job_id", "attempt", "error_class", "dead_lettered_at"), connection.json)


@app.command
def replay(
    *runs: Ids,
    project: str | None = None,
    limit: int | None = None,
    version: Literal["same", "latest"] | None = None,
    yes: Yes = False,
    connection: Connection = HERE,
) -> int:
    """Start new runs like dead letters: those named, or all of a project, oldest first; asks before it does.

    Example: `runwright dlq replay RUN --yes`

    Example: `runwright dlq replay --project default --version latest`

    Parameters
    ----------
    runs
        Ids of dead letters, or - for one on each line of standard input.
    project
        Id or slug of the project whose dead letters are replayed.
    limit
        At most so many of the project's.
    version
        Version of the job to use.
    """
    if bool(runs) == (project is not None) or (limit is not None and project is None):
        raise UsageError("Give ids of dead letters, or --project (and --limit with it).")
    with connection.client() as client:
        if project is None:
            ids = named(runs)
        else:
            letters = client.dlq.list(project_id=project, order="asc")
            ids = [run.id for run in (letters.all() if limit is None else letters.first(limit))]
        if ids:
            confirm(f"This replays {len(ids)} dead letters.", yes)
        if len(ids) == 1 and version is None:
            return _one(client.dlq.replay(ids[0]).raw, connection)
        return _many(client, ids, version, connection)


def _many(client: Client, ids: list[str], version: str | None, connection: Connection) -> int:
    made: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    with Bar("replaying", sys.stderr) as bar:
        for number, chunk in enumerate(chunks(ids), 1):
            answer = client.dlq.bulk_replay(chunk, version=version)
            made += answer.raw["replayed"]
            errors += answer.raw["errors"]
            bar.show(min(number * 500 / len(ids), 1.0), told=f"{len(made)}/{len(ids)}")
    return _tell(made, errors, connection)


def _one(run: dict[str, Any], connection: Connection) -> int:
    if connection.json:
        printing.show_json(run)
    else:
        printing.say(f"{run['id']}  {run['status']}")
        printing.note(f"follow it: runwright runs watch {run['id']}")
    return OK


def _tell(made: list[dict[str, Any]], errors: list[dict[str, Any]], connection: Connection) -> int:
    if connection.json:
        printing.show_json({"replayed": made, "count": len(made), "errors": errors})
    else:
        printing.say(f"{len(made)} replayed, {len(errors)} left out")
        for problem in errors:
            printing.fail(f"{problem['id']}: {problem['error']}")
    return FAILED if errors else OK


@app.command
def discard(*runs: Ids, yes: Yes = False, connection: Connection = HERE) -> None:
    """Take runs off the queue for good; asks before it does.

    Example: `runwright dlq discard RUN --yes`

    Parameters
    ----------
    runs
        Ids of dead letters, or - for one on each line of standard input.
    """
    ids = named(runs)
    confirm(f"This discards {len(ids)} dead letters for good.", yes)
    done: list[dict[str, Any]] = []
    with connection.client() as client, Bar("discarding", sys.stderr) as bar:
        for run_id in ids:
            done.append(client.dlq.discard(run_id).raw)
            bar.show(len(done) / len(ids), told=f"{len(done)}/{len(ids)}")
    if connection.json:
        printing.show_json(done)
    else:
        printing.say(f"{len(done)} discarded")
