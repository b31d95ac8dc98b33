"""`runwright runs`: read, follow, stop and repeat runs."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK, UsageError
from runwright.cli.hints import hint
from runwright.cli.inputs import json_object, pairs
from runwright.cli.watching import exit_code, line, show_end, watch
from runwright.client.errors import ApiError
from runwright.client.fields import ReplayOptions, RunFilters
from runwright.client.models import Run
from runwright.client.sync.api import Client

Source = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
"""JSON, @FILE, or - for standard input."""

app = App(name="runs", help="List, read, follow, stop and repeat runs.")


@app.command(name="list")
def list_runs(
    *,
    project: str | None = None,
    job: str | None = None,
    status: tuple[str, ...] = (),
    state: tuple[str, ...] = (),
    tag: tuple[str, ...] = (),
    limit: int = 50,
    connection: Connection = HERE,
) -> None:
    """List runs, newest first.

    Parameters
    ----------
    project
        Id or slug of their project.
    job
        Id or slug of their job.
    status
        Word of the jobs API, such as `queued`, `executing`, `completed`, `dead_letter`; repeatable.
    state
        One of the nine states inside, such as `failed`; repeatable.
    tag
        KEY=VALUE; repeatable.
    limit
        At most so many.
    """
    asked = {"project_id": project, "status": list(status), "state": list(state), "tags": pairs(tag, "--tag")}
    filters: dict[str, Any] = {name: value for name, value in asked.items() if value}
    filters["limit"] = min(limit, 500)
    with connection.client() as client:
        if job is not None:
            filters["job_id"] = (client.jobs.get(job)).id
        runs = client.runs.list(**cast(RunFilters, filters)).first(limit)
    if connection.json:
        printing.show_json([run.raw for run in runs])
        return
    printing.table(
        ("id", "status", "job", "attempt", "created", "finished", "error"),
        [
            (r.id, r.status, r.raw.get("job_slug") or r.job_id, r.attempt, r.created_at, r.finished_at, r.error_class)
            for r in runs
        ],
    )


@app.command
def get(run: str, /, *, connection: Connection = HERE) -> None:
    """Show a run."""
    with connection.client() as client:
        _show(client.runs.get(run), connection)


@app.command(name="watch")
def watch_run(run: str, /, *, after_seq: int = 0, connection: Connection = HERE) -> int:
    """Show the events of a run until it ends; comes back by itself after cuts and restarts.

    Exits with 0 when the run completed, 1 when it failed, 3 when it was cancelled, 4 when it expired.

    Parameters
    ----------
    run
        Id of the run.
    after_seq
        Begin after this event.
    """
    with connection.client() as client:
        ended = watch(client, run, after_seq=after_seq, as_json=connection.json)
    if not connection.json:
        show_end(ended)
    return exit_code(ended)


@app.command
def cancel(*runs: str, reason: str | None = None, connection: Connection = HERE) -> int:
    """Ask for the end of runs; each line says whether it has ended or must still confirm.

    Parameters
    ----------
    runs
        Ids of the runs.
    reason
        Why, for the log of the runs.
    """
    return _each(runs, connection, lambda client, run: client.runs.cancel(run, reason=reason))


@app.command
def pause(*runs: str, connection: Connection = HERE) -> int:
    """Pause runs; they remember where to go on."""
    return _each(runs, connection, lambda client, run: client.runs.pause(run))


@app.command
def resume(*runs: str, connection: Connection = HERE) -> int:
    """Let paused runs go on."""
    return _each(runs, connection, lambda client, run: client.runs.resume(run))


@app.command
def replay(
    run: str,
    /,
    *,
    force: bool = False,
    payload: Source = None,
    payload_patch: Source = None,
    version: Literal["same", "latest"] | None = None,
    follow: bool = False,
    connection: Connection = HERE,
) -> int:
    """Start a new run like a finished one.

    Parameters
    ----------
    run
        Id of the finished run.
    force
        Also if it completed.
    payload
        Payload in place of its own: JSON, @FILE or - for standard input.
    payload_patch
        What to change in its payload (RFC 7396): JSON, @FILE or -.
    version
        Version of the job to use.
    follow
        Watch the new run.
    """
    options: dict[str, Any] = {"force": True} if force else {}
    if payload is not None:
        options["payload"] = json_object(payload, "--payload")
    if payload_patch is not None:
        options["payload_patch"] = json_object(payload_patch, "--payload-patch")
    if version is not None:
        options["version"] = version
    with connection.client() as client:
        new = client.runs.replay(run, **cast(ReplayOptions, options))
        if not follow:
            _show(new, connection)
            return OK
        ended = watch(client, new.id, as_json=connection.json)
    if not connection.json:
        show_end(ended)
    return exit_code(ended)


@app.command
def events(
    run: str,
    /,
    *,
    after_seq: int = 0,
    level: Literal["debug", "info", "warning", "error"] | None = None,
    type: str | None = None,
    limit: int = 1000,
    connection: Connection = HERE,
) -> None:
    """List the events that a run has so far, oldest first; with --json, one a line.

    Parameters
    ----------
    run
        Id of the run.
    after_seq
        Begin after this event.
    level
        Only events of this level.
    type
        Only events of this type.
    limit
        At most so many.
    """
    with connection.client() as client:
        pages = client.runs.events(run, after_seq=after_seq, level=level, type=type, limit=min(limit, 500))
        for count, event in enumerate(pages):
            if count == limit:
                printing.note(f"there are more; go on with --after-seq {event.seq - 1}")
                break
            if connection.json:
                printing.show_line(event.raw)
            else:
                printing.say(line(event))


def _each(runs: tuple[str, ...], connection: Connection, verb: Callable[[Client, str], Run]) -> int:
    """Do a verb to each run, tell each result at once, and exit with 1 if one was refused."""
    if not runs:
        raise UsageError("There is no run to do this to.", "Give one or more ids of runs.")
    results: list[dict[str, Any]] = []
    code = OK
    with connection.client() as client:
        for run_id in runs:
            try:
                run = verb(client, run_id)
            except ApiError as refused:
                code = FAILED
                message, advice, _, error_code = hint(refused)
                results.append({"id": run_id, "error": {"code": error_code, "message": message, "hint": advice}})
                if not connection.json:
                    printing.fail(f"{run_id}: {message}", advice)
            else:
                results.append(run.raw)
                if not connection.json:
                    printing.say(f"{run.id}  {run.status}")
    if connection.json:
        printing.show_json(results[0] if len(runs) == 1 else results)
    return code


def _show(run: Run, connection: Connection) -> None:
    if connection.json:
        printing.show_json(run.raw)
    else:
        printing.detail(run.raw.items())
