"""Lists are found by their indices: what the query planner of SQLite says."""

from pathlib import Path

import pytest

from runwright.clock import SystemClock
from runwright.domain.words import JOB_WORDS
from runwright.store.queries import dependencies
from runwright.store.queries.runs import indexed, listing
from runwright.store.queries.usage import report
from runwright.store.query import Query
from runwright.store.sqlite import hot
from runwright.store.sqlite.connection import connect
from runwright.store.sqlite.store import SqliteStore


@pytest.mark.parametrize(
    ("word", "used"),
    [
        (None, "runs_by_project (project_id=?)"),
        ("dead_letter", "runs_unhappy (project_id=? AND state=?)"),
        ("expired", "runs_unhappy (project_id=? AND state=?)"),
        ("executing", "sqlite_autoindex_run_heads_1"),
        ("paused", "sqlite_autoindex_run_heads_1"),
    ],
)
async def test_a_list_of_a_project_by_a_word_walks_an_index(word: str | None, used: str, tmp_path: Path):
    store = SqliteStore(tmp_path, SystemClock())
    await store.open()
    try:
        shown = frozenset(JOB_WORDS[word]) if word else None
        assert shown is None or indexed(shown)
        query = listing(frozenset({"project_id"}), shown, newest_first=True)
        statement, values = query.bind("sqlite", {"project_id": "proj_1", "limit": 5})
        plan = [
            str(row[3]) for row in connect(tmp_path, writable=False).execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    finally:
        await store.close()
    assert any(used in step for step in plan), plan
    assert not any(step.startswith("SCAN") or "TEMP B-TREE" in step for step in plan), plan


@pytest.mark.parametrize(
    ("query", "used"),
    [
        (dependencies.WAITING, "runs_waiting_for_others (run_id>?)"),
        (dependencies.WAITING_FOR, "runs_depending"),
        (dependencies.WAITING_OF_JOB, "runs_depending (job_id=? AND run_id>?)"),
    ],
)
async def test_a_round_for_those_who_wait_for_others_walks_those_alone(query: Query, used: str, tmp_path: Path):
    store = SqliteStore(tmp_path, SystemClock())
    await store.open()
    try:
        statement, values = query.bind("sqlite", {"above": "", "job_id": "job_1", "key": None, "limit": 5})
        plan = [
            str(row[3]) for row in connect(tmp_path, writable=False).execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    finally:
        await store.close()
    assert any(used in step for step in plan), plan


@pytest.mark.parametrize(
    ("names", "used"),
    [
        ((), "usage_records_by_org (org_id=? AND recorded_at>? AND recorded_at<?)"),
        (("project_id",), "usage_records_by_project (project_id=? AND recorded_at>? AND recorded_at<?)"),
    ],
)
async def test_a_report_of_usage_reads_the_calls_of_its_time_alone(names: tuple[str, ...], used: str, tmp_path: Path):
    store = SqliteStore(tmp_path, SystemClock())
    await store.open()
    try:
        query = report("model", frozenset(names), beyond=False, newest_first=False)
        asked = {"org_id": "org_1", "project_id": "proj_1", "since": 0, "until": 1, "limit": 5}
        statement, values = query.bind("sqlite", asked)
        plan = [
            str(row[3]) for row in connect(tmp_path, writable=False).execute(f"EXPLAIN QUERY PLAN {statement}", values)
        ]
    finally:
        await store.close()
    assert any(used in step for step in plan), plan


def test_what_no_index_leads_to_is_left_to_the_scan_budget():
    assert not indexed(frozenset(JOB_WORDS["completed"]))


@pytest.mark.parametrize("field", ["births", "moved", "heads_new", "heads_gone", "leases", "events", "attempts"])
async def test_what_every_run_writes_builds_no_table_on_the_way(field: str, tmp_path: Path):
    store = SqliteStore(tmp_path, SystemClock())
    await store.open()
    try:
        statement = next(sql for name, sql, _ in hot.WRITES if name == field)
        steps = [row[1] for row in store.raw_writer().execute(f"EXPLAIN {statement}", [None] * statement.count("?"))]
    finally:
        await store.close()
    assert "OpenWrite" in steps
    assert not {"OpenEphemeral", "OpenAutoindex", "SorterOpen"} & set(steps)
