"""From the query of a list of runs to the engine's filter: what SQL tests, and what each run is looked at for."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from runwright import ids
from runwright.api import instants
from runwright.api.jobs.run_schemas import RunQuery
from runwright.domain.run import LIVE, STATES
from runwright.domain.words import WORDS, Shows, matches, shows
from runwright.engine.reader import Filter, Reader, containing, has_pairs
from runwright.errors import InvalidRequest
from runwright.store.base import Record
from runwright.store.queries.runs import indexed

Keep = Callable[[Record], bool]


def run_filter(query: RunQuery, project_id: str | None, reader: Reader) -> Filter:
    """Return the filter of a query. Raises `InvalidRequest` for words and JSON that mean nothing."""
    where: dict[str, Any] = {
        "project_id": project_id,
        "job_id": query.job_id,
        "batch_id": query.batch_id,
        "parent_run_id": query.parent_run_id,
        "from_id": None if query.created_after is None else _floor(instants.micros(query.created_after) + 1),
        "until_id": None if query.created_before is None else _floor(instants.micros(query.created_before)),
    }
    tests = _tests(query, reader)
    mostly = not tests
    kinds = set(query.kind) or ({"job"} if project_id is not None else {"all"})
    if "all" not in kinds:
        tests.append(lambda record: record.run.spec.kind in kinds)
    shown = _shown(query)
    if shown is not None and not indexed(shown):
        told = shown
        tests.append(lambda record: any(matches(record.run, each) for each in told))
        shown, mostly = None, False
    found = {name: value for name, value in where.items() if value is not None}
    return Filter(where=found, shown=shown, keep=_all(tests), mostly=mostly)


def unfinished(query: RunQuery, project_id: str, reader: Reader) -> Filter:
    """Return the filter of a query for the runs that have not ended, and were not asked to: of others it holds none."""
    live = [state for state in query.state if state in LIVE] if query.state else list(LIVE)
    wanted = run_filter(msgspec.structs.replace(query, state=live), project_id, reader)
    # Who was asked already may go on for a while: whoever cancels on and on must come to those behind them.
    tests = [lambda record: record.run.cancel_requested_at is None, *([wanted.keep] if wanted.keep is not None else [])]
    return msgspec.structs.replace(wanted, shown=wanted.shown if live else frozenset(), keep=_all(tests))


def _floor(at: int) -> str:
    return ids.floor("run", at)


def _shown(query: RunQuery) -> frozenset[Shows] | None:
    if not query.status and not query.state:
        return None
    named: set[Shows] = set()
    for word in query.status:
        found = shows(word)
        if found is None:
            raise InvalidRequest.at("status", f"{word[:64]!r} is none of {', '.join(WORDS)}")
        named.update(found)
    states = {Shows(state) for state in STATES if state in query.state}
    if query.status and query.state:
        return frozenset(shown for shown in named if shown.state in query.state)
    return frozenset(named or states)


def _tests(query: RunQuery, reader: Reader) -> list[Keep]:
    tests: list[Keep] = []
    if query.error_class is not None:
        tests.append(lambda record: record.run.error_class == query.error_class)
    if query.finished_after is not None:
        after = instants.micros(query.finished_after)
        tests.append(lambda record: (record.run.finished_at or 0) > after)
    if query.finished_before is not None:
        until = instants.micros(query.finished_before)
        tests.append(lambda record: record.run.finished_at is not None and record.run.finished_at < until)
    if query.triggered_by is not None:
        tests.append(lambda record: record.run.spec.triggered_by == query.triggered_by)
    if query.execution_mode is not None:
        tests.append(lambda record: record.run.spec.executor == query.execution_mode)
    if query.concurrency_key is not None:
        tests.append(lambda record: record.run.spec.concurrency_key == query.concurrency_key)
    metadata = _pairs(query.metadata, "metadata", query.metadata_key, query.metadata_value)
    if metadata:
        tests.append(lambda record: has_pairs(record.run.metadata, metadata))
    tags = _pairs(query.tags, "tag", query.tag_key, query.tag_value)
    if tags:
        tests.append(lambda record: has_pairs(record.run.spec.tags, tags))
    if query.payload_contains is not None:
        wanted = _json(query.payload_contains)
        tests.append(lambda record: containing(reader.payload(record), wanted))
    return tests


def _pairs(given: dict[str, str], name: str, key: str | None, value: str | None) -> list[tuple[str, str | None]]:
    if key is None and value is not None:
        raise InvalidRequest.at(f"{name}_value", f"needs {name}_key")
    return [*given.items(), *([(key, value)] if key is not None else [])]


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as broken:
        raise InvalidRequest.at("payload_contains", f"is not JSON: {broken}") from None


def _all(tests: list[Keep]) -> Keep | None:
    if not tests:
        return None
    return lambda record: all(test(record) for test in tests)
