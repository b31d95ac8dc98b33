"""Whatever is wrong in a database is found, in words that name it, on whichever database it is."""

from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import apsw
import pytest
from msgspec.structs import asdict, replace

from runwright.auth.keyring import Keyring, Keys
from runwright.clock import SystemClock
from runwright.domain.accounts import Project
from runwright.domain.evidence import SIGNED, SignedHead
from runwright.domain.job import JobDefinition
from runwright.domain.ports import ArtifactStore
from runwright.domain.tree import Tree
from runwright.domain.workflow import Step, WorkflowDefinition
from runwright.engine import job_versions
from runwright.engine.retention import _proven
from runwright.store import audit
from runwright.store.artifacts import FileArtifacts
from runwright.store.base import ChangeSet, Slots, Store, Transaction
from runwright.store.inspected import Finding, Unlock
from runwright.store.postgres import check as cluster
from runwright.store.queries.retention import TO_THIN
from runwright.store.queries.runs import listing
from runwright.store.queries.schedules import SET_VERSION
from runwright.store.queries.shapes import setting
from runwright.store.queries.workflows import INSERT, INSERT_VERSION, encoded
from runwright.store.sqlite import check as directory
from runwright.store.tables import jobs
from tests.postgres import execute
from tests.store.backends import BACKENDS, PostgresBackend, SqliteBackend
from tests.store.rows_of import born, founded, history, value, write

NAME_VERSION = setting(jobs, "job_id", "job_version_id")
MASTER, OTHER = bytes(32), bytes([1]) * 32

ROW = "'apr_x', (SELECT min(run_id) FROM runs), 'org_1', 'proj_1', 'pending', 0, 0, NULL, {bytes}"
TOUCHED = {
    f"INSERT INTO approvals VALUES ({ROW})": "approvals",
    "UPDATE run_events SET message = 'x' WHERE seq = 2": "log",
    "DELETE FROM run_events WHERE seq = 1": "log",
    "UPDATE runs SET hash = {bytes}": "log",
    "UPDATE runs SET payload = {bytes}": "sealed value",
    "UPDATE run_values SET sealed = {bytes}": "sealed value",
    "UPDATE limits SET used = 3": "limit",
    "DELETE FROM runs WHERE finished_at IS NULL": "row",
    "UPDATE run_values SET artifact = 'ab', sealed = NULL": "artifact",
    "UPDATE migrations SET checksum = 'x' WHERE number = 1": "schema",
}


class Checked:
    """A database that holds something, which can be touched and checked."""

    def __init__(self, backend: SqliteBackend | PostgresBackend) -> None:
        self.backend = backend

    def artifacts(self, store: Store) -> ArtifactStore:
        if isinstance(self.backend, SqliteBackend):
            return FileArtifacts(self.backend.directory / "artifacts", 1000, self.backend.clock)
        return store.artifacts(1000)  # type: ignore[attr-defined, no-any-return]

    async def fill(self) -> None:
        store = self.backend.make()
        await store.open()
        keyring = await Keyring.unlock(store, MASTER.hex(), None)
        await keyring.ensure("proj_1")
        runs = [history(), history(ended=True), history(ended=True)]
        changes = born(*runs)
        changes.births = [
            type(birth)(birth.run, birth.opening, keyring.seal("proj_1", b"{}", f"{birth.run.run_id}/payload"))
            for birth in changes.births
        ]
        run_id = runs[1].standing.run_id
        digest = await self.artifacts(store).put(b"an artifact")
        changes.values = [
            value(run_id, "output", "a\0b", keyring.seal("proj_1", b"1", f"{run_id}/output/a\0b")),
            value(run_id, "output", "large", None, digest),
        ]
        changes.limits = {"job:idle": Slots(0, 5)}
        await write(store, changes)
        await write(store, ChangeSet(limits={"job:used": Slots(0, 5)}, held=[]))
        await store.close()

    def touch(self, statement: str) -> None:
        if isinstance(self.backend, SqliteBackend):
            connection = apsw.Connection(str(self.backend.directory / "runwright.db"))
            connection.execute(statement.format(bytes="x'00'"))
            connection.close()
        else:
            execute(self.backend.url, statement.format(bytes="'\\x00'"))

    async def check(self, unlock: Unlock | None) -> list[Finding]:
        if isinstance(self.backend, SqliteBackend):
            return await directory.check(self.backend.directory, _silent, unlock)
        return await cluster.check(self.backend.url, SystemClock(), _silent, unlock)


def _silent(*_: object) -> None:
    """Tell nobody."""


@pytest.fixture(params=BACKENDS)
def checked(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Checked]:
    with BACKENDS[request.param](tmp_path) as backend:
        yield Checked(backend)  # type: ignore[arg-type]


async def test_a_whole_database_has_nothing_wrong_and_each_touch_is_found(checked: Checked):
    await checked.fill()
    assert await checked.check(partial(Keys.of, MASTER)) == []
    assert await checked.check(None) == []
    assert [each.where for each in await checked.check(partial(Keys.of, OTHER))] == ["keyring"]
    checked.touch("INSERT INTO limits (limit_key, used, max) VALUES ('job:x', 0, 5)")
    assert await checked.check(partial(Keys.of, MASTER)) == []
    for statement, where in TOUCHED.items():
        checked.touch(statement)
        found = {each.where for each in await checked.check(partial(Keys.of, MASTER))}
        assert where in found, (statement, found)


THINNED = {
    "UPDATE runs SET pruned_way = {bytes} WHERE pruned_at IS NOT NULL": "what retention left is not",
    "UPDATE runs SET state = 'failed' WHERE pruned_at IS NOT NULL": "what retention left is not",
    "UPDATE runs SET seq = 2 WHERE pruned_at IS NOT NULL": "what retention left is not",
    "UPDATE runs SET pruned_at = NULL": "event 1 was dropped",
}


async def test_a_log_that_retention_took_away_is_told_from_one_that_somebody_else_took(checked: Checked):
    await checked.fill()
    store = checked.backend.make()
    await store.open()
    await founded(store)

    async def work(tx: Transaction) -> str:
        (run, _) = await tx.ended([row[0] for row in await tx.fetch(TO_THIN, now=0, before=2**60, limit=9)])
        await tx.thin(await _proven(tx, run.org_id, [run]))
        return run.run_id

    thinned = await store.write(work)
    await store.close()
    assert await checked.check(partial(Keys.of, MASTER)) == []
    for statement, how in THINNED.items():
        checked.touch("CREATE TABLE aside AS SELECT run_id, state, seq, pruned_at, pruned_way FROM runs")
        checked.touch(statement)
        assert [(each.what, each.how[: len(how)]) for each in await checked.check(None)] == [(thinned, how)], statement
        checked.touch(
            "UPDATE runs SET (state, seq, pruned_at, pruned_way) ="
            " (SELECT a.state, a.seq, a.pruned_at, a.pruned_way FROM aside a WHERE a.run_id = runs.run_id)"
        )
        checked.touch("DROP TABLE aside")
    assert await checked.check(None) == []
    checked.touch("UPDATE runs SET pruned_at = 1 WHERE pruned_at IS NULL AND finished_at IS NOT NULL")
    checked.touch("DELETE FROM run_events WHERE run_id IN (SELECT run_id FROM runs WHERE pruned_at = 1)")
    assert [each.how for each in await checked.check(None)] == ["what retention left is not what the audit log says"]


SCHEDULED = {
    "UPDATE schedules SET job_version_id = 'jobv_9'": "is of version jobv_9, the job of jobv_1",
    "UPDATE schedules SET next_fire_at = NULL": "stands still, and the job is enabled",
    "DELETE FROM schedules": "is missing, and the job has cron",
    "INSERT INTO schedules (job_id, org_id, project_id, job_version_id) VALUES ('job_9', 'o', 'p', 'v')": (
        "tells of a job that is not there"
    ),
    "UPDATE jobs SET deleted_at = 1": "tells of a job that is not there",
    "UPDATE jobs SET definition = {bytes}": "cannot be compared with the job",
}
ASIDE = "CREATE TABLE aside_{table} AS SELECT * FROM {table}"
BACK = "DELETE FROM {table}; INSERT INTO {table} SELECT * FROM aside_{table}"


async def scheduled(checked: Checked, **fields: Any) -> None:
    """Store a job as it is made."""
    store = checked.backend.make()
    await store.open()

    async def work(tx: Transaction) -> None:
        definition = JobDefinition(name="nightly", slug="nightly", cron="0 3 * * *", **fields)
        project = Project("proj_1", "org_1", "default", "Default", 1.0, None, 0)
        made = await job_versions.insert(tx, project, definition, "user:user_1")
        await tx.fetch(NAME_VERSION, row=made.job_id, job_version_id="jobv_1")
        await tx.fetch(SET_VERSION, row=made.job_id, job_version_id="jobv_1")

    await store.write(work)
    await store.close()


async def test_a_log_that_does_not_begin_with_what_was_signed_of_it_is_found(checked: Checked):
    await checked.fill()
    store = checked.backend.make()
    await store.open()
    run = (await store.fetch(listing(frozenset(), None, newest_first=True), limit=1))[0][0]
    record = await store.record(run)
    assert record is not None
    tree, events = Tree(), await store.events(run, 0, 9)
    tree.add(events[0].hash)
    right = SignedHead(1, tree.root.hex(), events[0].hash.hex(), 1, "k", "s")

    async def sign(tx: Transaction, head: SignedHead) -> None:
        await audit.append(tx, record.run.spec.org_id, "user:u", SIGNED, run, asdict(head))

    await store.write(partial(sign, head=right))
    assert await checked.check(None) == []
    await store.write(partial(sign, head=replace(right, size=2)))
    await store.close()
    (found,) = await checked.check(None)
    assert (found.where, found.what, found.how[:18]) == ("log", run, "its first 2 events")


async def test_a_schedule_that_is_not_what_its_job_says_is_found(checked: Checked):
    await scheduled(checked)
    assert await checked.check(None) == []
    for table in ("jobs", "schedules"):
        checked.touch(ASIDE.format(table=table))
    for statement, how in SCHEDULED.items():
        checked.touch(statement)
        found = await checked.check(None)
        assert [each.where for each in found] == ["schedule"], (statement, found)
        assert found[0].how.startswith(how), statement
        for table in ("jobs", "schedules"):
            checked.touch(BACK.format(table=table))
    assert await checked.check(None) == []


async def test_a_disabled_job_has_a_schedule_that_stands_still(checked: Checked):
    await scheduled(checked, enabled=False)
    assert await checked.check(None) == []
    checked.touch("UPDATE schedules SET next_fire_at = 1")
    assert [each.how for each in await checked.check(None)] == ["goes on, and the job is disabled"]


async def test_a_workflow_that_is_not_what_its_version_says_is_found(checked: Checked):
    store = checked.backend.make()
    await store.open()

    async def work(tx: Transaction) -> None:
        steps = (Step(key="a", job="nightly"),)
        definition = encoded(WorkflowDefinition(name="flow", slug="flow", steps=steps))
        same = {"workflow_id": "wf_1", "org_id": "org_1", "version": 1, "workflow_version_id": "wfv_1", "created_at": 1}
        same["definition"] = definition
        of = {"project_id": "proj_1", "slug": "flow", "updated_at": 1, "deleted_at": None}
        await tx.fetch(INSERT, **same, **of)
        await tx.fetch(INSERT_VERSION, **same, created_by="user:user_1")

    await store.write(work)
    await store.close()
    assert await checked.check(None) == []
    checked.touch("UPDATE workflows SET definition = {bytes}")
    assert [each.how for each in await checked.check(None)] == ["is not what its version says"]
    checked.touch("DELETE FROM workflow_versions")
    assert [each.how for each in await checked.check(None)] == ["names a version that is not there"]


async def test_events_of_many_runs_are_read_in_batches_that_end_anywhere(checked: Checked, monkeypatch):
    await checked.fill()
    for batch in (1, 2, 3):
        for room in ("inspection", "log_inspection", "seal_inspection"):
            monkeypatch.setattr(f"runwright.store.{room}.BATCH", batch)
        assert await checked.check(partial(Keys.of, MASTER)) == [], batch
