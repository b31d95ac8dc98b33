"""`runwright trigger`: start runs of a job, one or thousands."""

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, cast

import msgspec
from cyclopts import Parameter

from runwright.cli import printing
from runwright.cli.connection import HERE, Connection
from runwright.cli.exits import FAILED, OK, UsageError
from runwright.cli.inputs import instant, json_object, pairs, read_text
from runwright.cli.progress import Bar
from runwright.cli.watching import exit_code, show_end, watch
from runwright.client.fields import TriggerItem, TriggerOptions
from runwright.client.models import Run
from runwright.client.sync.api import Client

BULK_MAX = 1000
"""Items of one bulk request; the API takes no more."""


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Options:
    """What may go with the payload."""

    tag: tuple[str, ...] = ()
    "KEY=VALUE; repeatable"
    metadata: tuple[str, ...] = ()
    "KEY=VALUE; repeatable"
    idempotency_key: str | None = None
    "The same key makes the same run, however often it is sent"
    at: str | None = None
    "Not before this instant, such as 2026-12-31T23:59:00Z"
    priority: int | None = None
    "0 to 10"
    ttl_secs: int | float | None = None
    "Expire unless started within this time"
    concurrency_key: str | None = None
    "Key of the job's limit per key"
    debounce_key: str | None = None
    "Key of the job's debounce: triggers that share it make one run"
    batch_key: str | None = None
    "Key of the job's batch: triggers that share it make one run"
    max_attempts: int | None = None
    "In place of the job's"
    timeout_secs: int | float | None = None
    "In place of the job's"
    retry_backoff: Literal["exponential", "linear", "fixed", "custom"] | None = None
    "In place of the job's"
    retry_initial_delay_secs: int | float | None = None
    "In place of the job's"
    retry_max_delay_secs: int | float | None = None
    "In place of the job's"
    parent: str | None = None
    "Id of a run that counts as what started it"
    debug: bool = False
    "Record what is handed over to its attempts, and what comes back"
    dry_run: bool = False
    "Only check; start nothing"

    def given(self) -> dict[str, Any]:
        """Return what was given, as the API takes it."""
        fields = {
            "tags": pairs(self.tag, "--tag") or None,
            "metadata": pairs(self.metadata, "--metadata") or None,
            "idempotency_key": self.idempotency_key,
            "scheduled_at": None if self.at is None else instant(self.at, "--at"),
            "priority": self.priority,
            "ttl_secs": self.ttl_secs,
            "concurrency_key": self.concurrency_key,
            "debounce_key": self.debounce_key,
            "batch_key": self.batch_key,
            "max_attempts_override": self.max_attempts,
            "timeout_secs_override": self.timeout_secs,
            "retry_backoff": self.retry_backoff,
            "retry_initial_delay_secs": self.retry_initial_delay_secs,
            "retry_max_delay_secs": self.retry_max_delay_secs,
            "parent_run_id": self.parent,
            "debug_mode": self.debug or None,
            "dry_run": self.dry_run or None,
        }
        return {name: value for name, value in fields.items() if value is not None}


NO_OPTIONS = Options()


def trigger(
    job: str,
    /,
    *,
    payload: Annotated[str | None, Parameter(alias="-p", allow_leading_hyphen=True)] = None,
    project: str | None = None,
    watch: bool = False,
    bulk: Annotated[str | None, Parameter(allow_leading_hyphen=True)] = None,
    options: Options = NO_OPTIONS,
    connection: Connection = HERE,
) -> int:
    """Start a run of a job; with --bulk, one for each line of a file.

    A bulk trigger shows a progress bar on a terminal, sends a thousand lines a request, and each of them once.

    Example: `seq 100 | jq -c '{payload: {pages: .}}' | runwright trigger report --bulk -`

    Example: `runwright trigger report --payload '{"pages": 2}' --watch`

    Parameters
    ----------
    job
        Id or slug.
    payload
        JSON object, @FILE, or - for standard input.
    project
        Id or slug of the job's project.
    watch
        Follow the run to its end and exit as it ended: 0 completed, 1 failed, 3 cancelled, 4 expired.
    bulk
        File of JSON lines (or -), each an item such as {"payload": {…}, "idempotency_key": "…"}.
    """
    if bulk is not None:
        if payload is not None or options.idempotency_key is not None or watch or options.dry_run:
            raise UsageError("--bulk goes with neither --payload, --idempotency-key, --watch nor --dry-run.")
        return _bulk(job, bulk, options.given(), project, connection)
    body = None if payload is None else json_object(payload, "--payload")
    given = cast(TriggerOptions, options.given())
    with connection.client() as client:
        run = client.jobs.trigger(job, body, project_id=project, **given)
        if watch and not options.dry_run:
            return _follow(client, run, connection)
        return _show(run, connection)


def _show(run: Run, connection: Connection) -> int:
    if connection.json:
        printing.show_json(run.raw)
    else:
        hit = " (it was there already: same idempotency key)" if run.idempotency_hit else ""
        hit = " (it was there already, and the trigger joined it)" if run.joined else hit
        printing.say(f"{run.id}  {run.status}{hit}")
        printing.note(f"follow it: runwright runs watch {run.id}")
    return OK


def _follow(client: Client, run: Run, connection: Connection) -> int:
    ended = watch(client, run.id, as_json=connection.json)
    if not connection.json:
        show_end(ended)
    return exit_code(ended)


def _bulk(job: str, source: str, options: dict[str, Any], project: str | None, connection: Connection) -> int:
    items = [{**options, **item} for item in _items(source)]
    results: list[dict[str, Any]] = []
    with connection.client() as client, Bar("triggering", sys.stderr) as bar:
        for chunk in _chunks(items, BULK_MAX):
            results += client.jobs.trigger_bulk(job, chunk, project_id=project).raw["results"]
            bar.show(len(results) / len(items), told=f"{len(results)}/{len(items)}")
    failed = sum(1 for result in results if result.get("error"))
    if connection.json:
        printing.show_json({"results": results, "total": len(results), "failed": failed})
    else:
        printing.say(f"{len(results) - failed} triggered, {failed} refused")
        for index, result in enumerate(results):
            if result.get("error"):
                printing.fail(f"line {index + 1}: {result['error']}")
    return FAILED if failed else OK


def _items(source: str) -> list[dict[str, Any]]:
    text = read_text(source if source == "-" else f"@{source}")
    try:
        return [msgspec.json.decode(line, type=dict[str, Any]) for line in text.splitlines() if line.strip()]
    except msgspec.MsgspecError as error:
        raise UsageError(f"{source} is not JSON lines of objects: {error}") from None


def _chunks(items: Sequence[dict[str, Any]], size: int) -> Iterator[list[TriggerItem]]:
    for start in range(0, len(items), size):
        yield cast(list[TriggerItem], list(items[start : start + size]))
