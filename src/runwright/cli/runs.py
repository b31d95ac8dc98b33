"""`runwright runs`: read, follow, stop and repeat runs."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

from cyclopts import App, Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK, UsageError
from runwright.cli.hints import hint
from runwright.cli.inputs import instant, json_object, pairs
from runwright.cli.remedying import follow
from runwright.cli.remedying import show as show_loop
from runwright.cli.watching import exit_code, line, show_end, watch
from runwright.client.errors import ApiError
from runwright.client.fields import ReplayOptions, RunFilters
from runwright.client.models import Run
from runwright.client.sync.api import Client

Source = Annotated[str | None, Parameter(allow_leading_hyphen=True)]
"""JSON, @FILE, or - for standard input."""

app = App(name="runs", help="List, read, follow, stop and repeat runs.")
for _name, _about in (
    ("attempts", "List the attempts of a run."),
    ("children", "List the runs that a run started."),
    ("lineage", "List the runs that continue each other."),
    ("checkpoints", "List the checkpoints of a run."),
    ("outputs", "List the outputs of a run."),
    ("artifacts", "List the values of a run that lie in artifacts."),
    ("value", "Show what an agent run keeps under a digest."),
    ("effects", "Tell whether it is safe to resume a run."),
    ("usage", "List what a run's model calls used."),
    ("tool-calls", "List the tools that a run's code called."),
    ("state", "List what a run keeps under keys."),
    ("chunks", "Print the text of a run's streams as it is written."),
):
    app.command(f"runwright.cli.records:{_name.replace('-', '_')}", name=_name, help=_about)
for _place, _about in (
    ("bulk:cancel-many", "Ask for the end of many runs at once."),
    ("bulk:cancel-all", "Cancel every unfinished run that filters hold."),
    ("bulk:replay-many", "Start new runs like many finished ones."),
    ("changes:reschedule", "Let a run that has not begun begin at another time."),
    ("changes:debug", "Record what is handed to the attempts of a run, and what comes back."),
    ("changes:free-key", "Free the idempotency key of a run."),
    ("insight:why", "Tell why a run is not executing."),
    ("insight:timeline", "Show where a run's time went."),
    ("insight:debug-bundle", "Print all about a run as JSON, redacted."),
):
    app.command(f"runwright.cli.{_place.replace('-', '_')}", name=_place.partition(":")[2], help=_about)


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Filters:
    """What runs to list; everything that is given must hold."""

    project: str | None = None
    "Id or slug of their project"
    job: str | None = None
    "Id or slug of their job"
    status: tuple[str, ...] = ()
    "Word of the jobs API, such as `queued`, `executing`, `completed`, `dead_letter`; repeatable"
    state: tuple[str, ...] = ()
    "One of the nine states inside, such as `failed`; repeatable"
    kind: tuple[str, ...] = ()
    "Kind of run, such as `job` or `workflow`, or `all`; repeatable"
    triggered_by: str | None = None
    "What started them, such as `manual` or `retry`"
    tag: tuple[str, ...] = ()
    "KEY=VALUE, or KEY alone for any value; repeatable"
    metadata: tuple[str, ...] = ()
    "KEY=VALUE, or KEY alone for any value; repeatable"
    payload_contains: str | None = None
    "JSON that their payload contains"
    batch: str | None = None
    "Id of the bulk trigger that made them"
    parent: str | None = None
    "Id of the run that started them"
    concurrency_key: str | None = None
    "Their concurrency key"
    error_class: str | None = None
    "Class of their error"
    execution_mode: str | None = None
    "Where their code runs, such as `worker`"
    created_after: str | None = None
    "Instant, such as 2026-12-31T23:59:00Z"
    created_before: str | None = None
    "Instant"
    finished_after: str | None = None
    "Instant"
    finished_before: str | None = None
    "Instant"

    def given(self) -> RunFilters:
        """Return what was given, as the API takes it; the job is named still as it was typed."""
        same = ("status", "state", "kind", "triggered_by", "concurrency_key", "error_class", "execution_mode")
        asked: dict[str, Any] = {name: getattr(self, name) for name in same}
        asked |= {"project_id": self.project, "job_id": self.job, "batch_id": self.batch, "parent_run_id": self.parent}
        asked |= _labels(self.tag, "tags", "tag") | _labels(self.metadata, "metadata", "metadata")
        if self.payload_contains is not None:
            asked["payload_contains"] = json_object(self.payload_contains, "--payload-contains")
        for name in ("created_after", "created_before", "finished_after", "finished_before"):
            text = getattr(self, name)
            asked[name] = None if text is None else instant(text, f"--{name.replace('_', '-')}")
        return cast(RunFilters, {name: value for name, value in asked.items() if value})


NO_FILTERS = Filters()


@app.command(name="list")
def list_runs(
    *, filters: Filters = NO_FILTERS, oldest_first: bool = False, limit: int = 50, connection: Connection = HERE
) -> None:
    """List runs, newest first.

    Example: `runwright runs list --status failed --tag env=production --created-after 2026-01-01T00:00:00Z`

    Parameters
    ----------
    oldest_first
        Oldest first.
    limit
        At most so many.
    """
    asked = filters.given()
    asked["limit"] = min(limit, 500)
    if oldest_first:
        asked["order"] = "asc"
    with connection.client() as client:
        if "job_id" in asked:
            asked["job_id"] = client.jobs.get(asked["job_id"], project_id=filters.project).id
        runs = client.runs.list(**asked).first(limit)
    columns = ("id", "status", "job_id", "attempt", "created_at", "finished_at", "error_class")
    printing.show_rows(runs, columns, connection.json)


def _labels(items: tuple[str, ...], pairs_name: str, key_name: str) -> dict[str, Any]:
    """Return `KEY=VALUE` items as pairs, and one `KEY` as the key that must be there."""
    keys = [item for item in items if "=" not in item]
    if len(keys) > 1:
        raise UsageError(f"--{key_name} takes one KEY without a value.", f"Write --{key_name} env=production.")
    found: dict[str, Any] = {pairs_name: pairs((item for item in items if "=" in item), f"--{key_name}")}
    return found | ({f"{key_name}_key": keys[0]} if keys else {})


@app.command
def get(run: str, /, *, connection: Connection = HERE) -> None:
    """Show a run.

    Example: `runwright runs get RUN --json`
    """
    with connection.client() as client:
        _show(client.runs.get(run), connection)


@app.command(name="watch")
def watch_run(run: str, /, *, after_seq: int = 0, connection: Connection = HERE) -> int:
    """Show the events of a run until it ends; comes back by itself after cuts and restarts.

    Of a remediation loop it tells what `runwright loop watch` tells; with --json it prints the events.

    Exits with 0 when the run completed, 1 when it failed, 3 when it was cancelled, 4 when it expired.

    Example: `runwright runs watch RUN`

    Parameters
    ----------
    run
        Id of the run.
    after_seq
        Begin after this event.
    """
    with connection.client() as client:
        if not connection.json and client.runs.get(run).kind == "loop":
            show_loop(follow(client, run, after_seq))
            return exit_code(client.runs.get(run))
        ended = watch(client, run, after_seq=after_seq, as_json=connection.json)
    if not connection.json:
        show_end(ended)
    return exit_code(ended)


@app.command
def cancel(*runs: str, reason: str | None = None, connection: Connection = HERE) -> int:
    """Ask for the end of runs; each line says whether it has ended or must still confirm.

    Example: `runwright runs cancel RUN --reason "nobody reads it"`

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
    """Pause runs; they remember where to go on.

    Example: `runwright runs pause RUN`
    """
    return _each(runs, connection, lambda client, run: client.runs.pause(run))


@app.command
def resume(*runs: str, connection: Connection = HERE) -> int:
    """Let paused runs go on.

    Example: `runwright runs resume RUN`
    """
    return _each(runs, connection, lambda client, run: client.runs.resume(run))


@app.command
def restart(*runs: str, preset: str | None = None, connection: Connection = HERE) -> int:
    """Begin runs again that are executing, paused or waiting; the new attempt does not count.

    Example: `runwright runs restart RUN --preset small-2x`

    Parameters
    ----------
    preset
        For runs of the mode `process`: CPUs and memory from now on, such as `micro` or `medium-1x`.
    """
    return _each(runs, connection, lambda client, run: client.runs.restart(run, preset=preset))


@app.command
def erase(run: str, /, *, yes: bool = False, connection: Connection = HERE) -> None:
    """Erase what users and jobs wrote into a run that has ended, for ever; its log stays and still verifies.

    Example: `runwright runs erase RUN --yes`

    Parameters
    ----------
    run
        Id of the run.
    yes
        Do it; nothing brings the data back.
    """
    if not yes:
        raise UsageError("This erases the data of the run for ever.", f"Write `runwright runs erase {run} --yes`.")
    with connection.client() as client:
        _show(client.runs.erase(run), connection)


@app.command
def replay(
    run: str,
    /,
    *,
    force: bool = False,
    payload: Source = None,
    payload_patch: Source = None,
    from_checkpoint: int | None = None,
    version: Literal["same", "latest"] | None = None,
    from_failed: bool = False,
    debug: bool = False,
    follow: bool = False,
    connection: Connection = HERE,
) -> int:
    """Start a new run like a finished one.

    Example: `runwright runs replay RUN --payload-patch '{"pages": 1}' --follow`

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
    from_checkpoint
        Begin with this checkpoint of the run.
    version
        Version of the job or workflow to use.
    from_failed
        Of a workflow: take over the steps that completed, and do the others again.
    debug
        Record what is handed over to its attempts, and what comes back.
    follow
        Watch the new run.
    """
    options: dict[str, Any] = {"force": True} if force else {}
    options |= {"debug_mode": True} if debug else {}
    options |= {"from_failed": True} if from_failed else {}
    options |= {} if from_checkpoint is None else {"from_checkpoint": from_checkpoint}
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

    Example: `runwright runs events RUN --level error --json`

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
