"""`runwright runs cancel-many|cancel-all|replay-many`: verbs on many runs, with a preview and a progress bar."""

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Literal

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK, UsageError
from runwright.cli.inputs import Ids, Yes, confirm, read_text
from runwright.cli.progress import Bar
from runwright.cli.runs import NO_FILTERS, Filters

CHUNK = 500
"""Runs of one bulk request; the API takes no more by their ids."""


def cancel_many(*runs: Ids, reason: str | None = None, yes: Yes = False, connection: Connection = HERE) -> int:
    """Ask for the end of many runs at once, without waiting for those that execute.

    Example: `runwright runs list --json | jq -r '.[].id' | runwright runs cancel-many - --yes`

    Parameters
    ----------
    runs
        Ids of the runs, or - for one on each line of standard input.
    reason
        Why, for the log of the runs.
    """
    ids = named(runs)
    confirm(f"This cancels {len(ids)} runs.", yes)
    results: list[dict[str, Any]] = []
    with connection.client() as client, Bar("cancelling", sys.stderr) as bar:
        for chunk in chunks(ids):
            results += client.runs.bulk_cancel(chunk, reason=reason).raw["results"]
            bar.show(len(results) / len(ids), told=f"{len(results)}/{len(ids)}")
    return _told(results, connection)


def cancel_all(
    *,
    filters: Filters = NO_FILTERS,
    reason: str | None = None,
    dry_run: bool = False,
    yes: Yes = False,
    connection: Connection = HERE,
) -> int:
    """Cancel every unfinished run of a project that the filters hold, oldest first; asks before it does.

    Example: `runwright runs cancel-all --project default --job report --status queued --dry-run`

    Parameters
    ----------
    reason
        Why, for the log of the runs.
    dry_run
        Only tell how many runs that would be.
    """
    asked = filters.given()
    project = asked.pop("project_id", None)
    if project is None:
        raise UsageError("There is no project whose runs to cancel.", "Add --project PROJECT.")
    if asked.keys() & {"finished_after", "finished_before"}:
        raise UsageError("Only unfinished runs are cancelled; --finished-after and --finished-before find none.")
    given: dict[str, Any] = {**asked} | ({} if reason is None else {"reason": reason})
    with connection.client() as client:
        if "job_id" in given:
            given["job_id"] = client.jobs.get(given["job_id"], project_id=project).id
        preview = client.runs.bulk_cancel_all(project, **given, dry_run=True)
        count = f"{preview.total}+" if preview.more else str(preview.total)
        if dry_run or not preview.total:
            return _counted(preview.raw, f"{count} runs would be cancelled", connection)
        confirm(f"This cancels {count} runs of {project}.", yes)
        results, more = [], True
        with Bar("cancelling", sys.stderr) as bar:
            while more:
                answer = client.runs.bulk_cancel_all(project, **given, limit=CHUNK)
                results += answer.raw["results"]
                more = answer.more
                bar.show(min(len(results) / preview.total, 1.0), told=f"{len(results)}/{count}")
    return _told(results, connection)


def replay_many(
    *runs: Ids,
    version: Literal["same", "latest"] | None = None,
    force: bool = False,
    yes: Yes = False,
    connection: Connection = HERE,
) -> int:
    """Start new runs like many finished ones.

    Example: `runwright runs list --status failed --json | jq -r '.[].id' | runwright runs replay-many - --yes`

    Parameters
    ----------
    runs
        Ids of the runs, or - for one on each line of standard input.
    version
        Version of the job to use.
    force
        Also those that completed.
    """
    ids = named(runs)
    confirm(f"This replays {len(ids)} runs.", yes)
    made: list[dict[str, Any]] = []
    with connection.client() as client, Bar("replaying", sys.stderr) as bar:
        for number, chunk in enumerate(chunks(ids), 1):
            made += [run.raw for run in client.runs.bulk_replay(chunk, version=version, force=force)]
            bar.show(min(number * CHUNK / len(ids), 1.0), told=f"{len(made)} made")
    left = len(ids) - len(made)
    if connection.json:
        printing.show_json(made)
    else:
        printing.say(f"{len(made)} replayed, {left} left out")
    if left:
        printing.note("see why: runwright batches list, then runwright batches get BATCH")
    return FAILED if left else OK


def named(runs: Sequence[str]) -> list[str]:
    """Return the ids that were given, each once; `-` stands for the lines of standard input."""
    found: list[str] = []
    for run in runs:
        found += read_text("-").split() if run == "-" else [run]
    if not found:
        raise UsageError("There is no run to do this to.", "Give ids of runs, or - and one on each line.")
    return list(dict.fromkeys(found))


def chunks(ids: Sequence[str]) -> Iterator[Sequence[str]]:
    """Yield as many ids at a time as one request takes."""
    for start in range(0, len(ids), CHUNK):
        yield ids[start : start + CHUNK]


def _told(results: list[dict[str, Any]], connection: Connection) -> int:
    refused = [result for result in results if result["error"]]
    if connection.json:
        printing.show_json({"results": results, "total": len(results), "failed": len(refused)})
    else:
        printing.say(f"{len(results) - len(refused)} cancelled, {len(refused)} refused")
        for result in refused:
            printing.fail(f"{result['id']}: {result['error']}")
    return FAILED if refused else OK


def _counted(answer: dict[str, Any], text: str, connection: Connection) -> int:
    if connection.json:
        printing.show_json(answer)
    else:
        printing.say(text)
    return OK
