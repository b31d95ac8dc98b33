"""The verbs of jobs below the wire: the law of versions, the directory that is never behind, handlers registered."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from runwright.auth.bootstrap import bootstrap
from runwright.auth.keyring import Keyring
from runwright.auth.tenants import Tenants
from runwright.clock import FrozenClock
from runwright.domain.accounts import Project
from runwright.domain.job import Job, JobDefinition
from runwright.domain.job_checks import problems
from runwright.domain.tenancy import Actor
from runwright.engine import directory
from runwright.engine.jobs import Jobs
from runwright.engine.signing_secrets import SigningSecrets
from runwright.errors import InvalidRequest, MissingScope, NotFound
from runwright.store import audit
from runwright.store.base import Row
from runwright.store.queries.audit import ENTRIES
from runwright.store.queries.jobs import JOB
from runwright.store.queries.shapes import Slice
from runwright.store.query import Query
from runwright.store.sqlite.store import SqliteStore

DAY_US = 86_400_000_000


class FarStore(SqliteStore):
    """A store whose answers are on the way until they are let through, and that counts what it was asked."""

    def __init__(self, directory: Path, clock: FrozenClock) -> None:
        super().__init__(directory, clock)
        self.through = asyncio.Event()
        self.through.set()
        self.asked = 0

    async def fetch(self, query: Query, **params: Any) -> list[Row]:
        rows = await super().fetch(query, **params)
        self.asked += 1
        await self.through.wait()
        return rows


@dataclass
class Office:
    store: FarStore
    clock: FrozenClock
    jobs: Jobs
    admin: Actor
    project: Project

    async def create(self, slug: str, **options: Any) -> Job:
        """Make a job."""
        definition = JobDefinition(name=slug, slug=slug, **options)
        return (await self.jobs.create(self.admin, self.project, definition)).value.job

    async def update(self, job: Job, changes: dict[str, Any]) -> Job:
        """Change a job."""
        return (await self.jobs.update(self.admin, job, changes)).job

    async def find(self, ident: str) -> Job:
        """Look a job up in the directory."""
        return await self.jobs.directory.find(self.admin, ident, self.project)


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[Office]:
    clock = FrozenClock()
    store = FarStore(tmp_path, clock)
    await store.open()
    try:
        keyring = await Keyring.unlock(store, None, tmp_path)
        tenants = Tenants.of(store, keyring, clock)
        admin = await tenants.authenticator.authenticate((await bootstrap(store, keyring, None)).token)
        project = await tenants.resolve_project(admin, None)
        yield Office(store, clock, Jobs(store, SigningSecrets(store, keyring), DAY_US), admin, project)
    finally:
        await store.close()


changes = st.fixed_dictionaries(
    {},
    optional={
        "max_attempts": st.integers(1, 3),
        "priority": st.integers(0, 2),
        "enabled": st.booleans(),
        "tags": st.dictionaries(st.sampled_from("ab"), st.sampled_from("12")),
        "retry_strategy": st.sampled_from(["fixed", "custom"]),
        "retry_delays_secs": st.sampled_from([(), (1,), (1, 2.5)]),
        "run_ttl_secs": st.sampled_from([None, 1, 1.0]),
    },
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], max_examples=40, deadline=None
)
@given(history=st.lists(changes, max_size=8))
async def test_every_effective_change_is_one_version_that_never_changes(office: Office, history: list[dict]) -> None:
    office.clock.advance(1)
    job = await office.create(f"job-{office.clock.now()}")
    expected = [job.definition]
    for change in history:
        merged = {name: getattr(expected[-1], name) for name in JobDefinition.__struct_fields__} | change
        wanted = JobDefinition(**merged)
        if problems(wanted):
            with pytest.raises(InvalidRequest):
                await office.jobs.update(office.admin, job, change)
        else:
            job = await office.update(job, change)
            if wanted != expected[-1]:
                expected.append(wanted)
        assert (job.version, job.definition) == (len(expected), expected[-1])
        assert await office.find(job.job_id) == await office.find(job.slug) == job
    versions = await office.jobs.versions(office.admin, job, Slice(50, newest_first=False))
    assert [version.definition for version in sorted(versions, key=lambda v: v.version)] == expected
    assert len({version.job_version_id for version in versions}) == len(expected)


async def test_a_job_that_was_found_needs_no_store(office: Office) -> None:
    job = await office.create("greet")
    for ident in ("greet", job.job_id):
        await office.find(ident)
    asked = office.store.asked
    assert await office.find("greet") == await office.find(job.job_id) == job
    assert office.store.asked == asked


async def test_a_change_beats_an_answer_that_was_on_its_way(office: Office) -> None:
    job = await office.create("greet")
    office.store.through.clear()
    looking = asyncio.create_task(office.find("greet"))
    await asyncio.sleep(0)
    changed = await office.update(job, {"priority": 5})
    office.store.through.set()
    assert (await looking).version == 1
    assert await office.find("greet") == changed


async def test_a_caller_who_goes_away_leaves_the_directory_right(office: Office) -> None:
    job = await office.create("greet")
    for turns in range(12):
        await office.find("greet")
        changing = asyncio.create_task(office.jobs.update(office.admin, job, {"priority": turns % 10 + 1}))
        for _ in range(turns):
            await asyncio.sleep(0)
        changing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await changing
        stored = (await office.store.fetch(JOB, job_id=job.job_id))[0]
        assert (await office.find("greet")).version == stored[3]


async def test_the_directory_is_bounded(office: Office, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(directory, "CACHE_MAX", 3)
    for number in range(10):
        await office.create(f"job-{number}")
        await office.find(f"job-{number}")
    for number in range(10):
        assert (await office.find(f"job-{number}")).slug == f"job-{number}"
        assert len(office.jobs.directory._known) <= 3


async def test_what_is_not_there_is_not_remembered(office: Office) -> None:
    with pytest.raises(NotFound):
        await office.find("greet")
    await office.create("greet")
    assert (await office.find("greet")).version == 1


async def test_a_slug_needs_its_project(office: Office) -> None:
    job = await office.create("greet")
    assert await office.jobs.directory.find(office.admin, job.job_id, None) == job
    with pytest.raises(NotFound):
        await office.jobs.directory.find(office.admin, "greet", None)


async def test_a_handler_gets_a_job_of_its_slug(office: Office) -> None:
    job = await office.jobs.register(office.project, {"slug": "greet", "max_attempts": 5, "retry_delays_secs": []})
    assert (job.version, job.slug, job.definition.name, job.definition.max_attempts) == (1, "greet", "greet", 5)
    assert await office.find("greet") == job
    assert await office.jobs.register(office.project, {"slug": "greet", "max_attempts": 5}) == job


async def test_a_handler_with_other_options_makes_a_version_and_leaves_the_rest(office: Office) -> None:
    job = await office.jobs.register(office.project, {"slug": "greet", "max_attempts": 5})
    await office.jobs.update(office.admin, job, {"priority": 7, "enabled": False})
    again = await office.jobs.register(office.project, {"slug": "greet", "max_attempts": 6})
    assert (again.version, again.job_id) == (3, job.job_id)
    assert (again.definition.max_attempts, again.definition.priority, again.definition.enabled) == (6, 7, False)
    versions = await office.jobs.versions(office.admin, again, Slice(9))
    assert [version.created_by for version in sorted(versions, key=lambda v: v.version)] == [
        "system:worker",
        office.admin.label,
        "system:worker",
    ]


@pytest.mark.parametrize(
    ("options", "path"),
    [
        ({"max_attempts": 0}, "max_attempts"),
        ({"retry_strategy": "custom"}, "retry_delays_secs"),
        ({"retry_delays_secs": [1, "x"], "retry_strategy": "custom"}, "retry_delays_secs[1]"),
        ({"colour": "blue"}, "colour"),
    ],
)
async def test_a_handler_with_impossible_options_is_refused_at_its_place(office: Office, options, path) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await office.jobs.register(office.project, {"slug": "greet", **options})
    assert [field.path for field in refused.value.fields] == [path]


async def test_verbs_check_who_asks(office: Office) -> None:
    job = await office.create("greet")
    stranger = Actor(kind="user", id="u", org_id="org_other", scopes=frozenset({"admin"}))
    reader = Actor(kind="user", id="u", org_id=office.admin.org_id, scopes=frozenset({"jobs:read"}))
    for verb in (
        office.jobs.create(stranger, office.project, job.definition),
        office.jobs.update(stranger, job, {}),
        office.jobs.delete(stranger, job),
        office.jobs.page(stranger, office.project, Slice(1)),
        office.jobs.versions(stranger, job, Slice(1)),
    ):
        with pytest.raises(NotFound):
            await verb
    for verb in (
        office.jobs.create(reader, office.project, job.definition),
        office.jobs.update(reader, job, {}),
        office.jobs.delete(reader, job),
    ):
        with pytest.raises(MissingScope):
            await verb


async def test_every_change_of_a_job_is_in_the_audit_log(office: Office) -> None:
    job = await office.create("greet", default_metadata={"password": "hunter2"})
    changed = await office.update(job, {"priority": 1, "tags": {"secret": "hunter3"}})
    await office.update(changed, {"priority": 1})
    await office.jobs.delete(office.admin, changed)
    rows = await office.store.fetch(ENTRIES, org_id=office.admin.org_id, after=0, limit=100)
    entries = [audit.Entry(*row) for row in rows]
    assert audit.verify(office.admin.org_id, entries) is None
    assert [entry.action for entry in entries[-3:]] == ["job.created", "job.updated", "job.deleted"]
    assert entries[-2].data == b'{"changed":["priority","tags"],"version":2}'
    assert b"hunter" not in b"".join(entry.data for entry in entries)
