"""Runs and their records as the public documents show them: every field there, of its type, null where unset."""

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.examples import check
from tests.acceptance.gate import opened_gate
from tests.acceptance.live_server import LiveServer
from tests.acceptance.seed_shapes import CHECKPOINT, EVENT, JOB_RUN, LISTED_RUN, NOT_YET, OURS, OUTPUT
from tests.acceptance.speech import Json, Speech, later, said, unique

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


@pytest.fixture(scope="module")
async def ann(server: LiveServer, admin: ContractClient) -> Speech:
    """Return what a user with an email says."""
    user = await said(admin.post("/v1/users", json={"name": unique("ann"), "email": "ann@example.com"}), 201)
    return Speech(server.client((await Speech(admin).key("admin", user_id=user["id"]))["token"]))


@pytest.fixture(scope="module")
async def runs(ann: Speech) -> list[Json]:
    """Return runs between which every field is set somewhere."""
    api, admin = ann, ann.client
    job = await api.job("works", max_attempts=2)
    hold, stumble = await api.job("hold"), await api.job("stumble", max_attempts=2)
    async with opened_gate() as gate:
        parent = await api.trigger(hold, {"gate": gate.port})
        full = await api.trigger(
            job,
            {"a": 1},
            tags={"a": "b"},
            metadata={"c": "d"},
            idempotency_key=unique("key"),
            scheduled_at=later(parent["created_at"], seconds=0.05),
            priority=5,
            ttl_secs=600,
            concurrency_key="k",
            max_attempts_override=2,
            timeout_secs_override=60,
            retry_backoff="fixed",
            retry_initial_delay_secs=0,
            retry_max_delay_secs=1.5,
        )
        child = await api.trigger(job, parent_run_id=parent["id"])
        batch = await api.bulk(job, [{}])
        dead = await api.done(stumble)
        replayed = await said(admin.post(f"/v1/runs/{dead['id']}/replay"), 201)
        retrying = await api.trigger(stumble, {"how": "later", "after_s": 600})
        await api.until(retrying["id"], "run.retrying")
        cancelled = await api.trigger(hold, {"gate": gate.port})
        await said(admin.delete(f"/v1/runs/{cancelled['id']}"))
        await gate.arrived(1, parent["id"])
        executing = await api.run(parent["id"])
        waiting = await api.run(retrying["id"])
        ended = [await api.ended(run["id"]) for run in (full, child, batch["results"][0], replayed)]
    again = [await api.run(run["id"]) for run in (dead, cancelled)]
    await said(admin.delete(f"/v1/runs/{retrying['id']}"))
    return [executing, waiting, *ended, *again]


@pytest.fixture(scope="module")
async def of_others(ann: Speech) -> list[Json]:
    """Return a run of a workflow, and two that no user made: that of its step, and one that goes on from another."""
    flow = await ann.flow([{"key": "a", "job": await ann.job("echo")}])
    ended = await ann.ended((await ann.launch(flow["id"]))["id"])
    continued = await ann.done(await ann.job("relates-too"), {"again": True})
    onward = await ann.run(continued["result"]["onward"])
    return [ended, await ann.run((await ann.steps(ended["id"]))["a"]["run_id"]), onward]


@pytest.mark.parametrize("shape", [JOB_RUN, LISTED_RUN, OURS], ids=["jobs", "threads", "ours"])
async def test_every_field_of_a_run_is_there_and_of_its_type(runs: list[Json], of_others: list[Json], shape: Json):
    for name, example in shape.items():
        values = [run[name] for run in (*runs, *of_others)]
        for value in values:
            if value is not None:
                check(value, example, name)
        assert (set(values) == {None}) if name in NOT_YET else any(value is not None for value in values), name


NEVER_NULL = (
    *("id", "run_id", "job_id", "project_id", "org_id", "kind", "status", "state", "payload", "metadata", "tags"),
    *("triggered_by", "created_at", "created_by", "trace_id", "job_version", "job_version_id", "attempt", "last_seq"),
)


async def test_what_must_be_set_is_never_null(runs: list[Json]):
    for run in runs:
        assert all(run[name] is not None for name in NEVER_NULL)
        assert run["id"] == run["run_id"]
        assert run["attempts_url"] == f"/v1/runs/{run['id']}/attempts"
        assert (run["debug_mode"], run["lineage_depth"], run["credits_used"]) == (False, 0, 0)


async def test_who_made_a_run_is_told(ann: Speech, runs: list[Json]):
    me = await said(ann.client.get("/v1/me"))
    for run in runs:
        assert run["created_by"] == me["actor"] == f"user:{run['created_by_user_id']}"
        assert (run["created_by_user_name"], run["created_by_email"]) == (me["user"]["name"], "ann@example.com")


async def test_times_add_up(runs: list[Json]):
    for run in runs:
        if run["finished_at"] is None:
            continue
        assert run["created_at"] <= (run["started_at"] or run["finished_at"]) <= run["finished_at"]
        # What is left is the way from the request to the transaction.
        assert 0 <= run["duration_ms"] - run["queued_ms"] - run["active_ms"] - run["waiting_ms"] < 5000
        assert (run["heartbeat_at"], run["next_retry_at"]) == (None, None)


async def test_an_executing_run_shows_its_lease_and_its_trace(runs: list[Json]):
    executing = runs[0]
    assert executing["status"] == "executing"
    assert executing["started_at"] <= executing["heartbeat_at"]
    assert (executing["finished_at"], executing["duration_ms"], executing["result"]) == (None, None, None)
    assert executing["execution_trace"]["total_ms"] >= 0
    delayed = runs[1]
    assert delayed["execution_trace"] is not None, "it has begun once"


ASKED = (
    *("tags", "metadata", "idempotency_key", "priority", "concurrency_key", "scheduled_at", "max_attempts_override"),
    *("timeout_secs_override", "retry_backoff", "retry_initial_delay_secs", "retry_max_delay_secs"),
)


async def test_a_run_looks_the_same_from_every_side(api: Speech, runs: list[Json]):
    run = await api.run(runs[2]["id"])
    assert await api.runs(metadata_key="c", limit=1) == [run]
    child = await api.run(runs[3]["id"])
    assert await api.listed(f"/v1/runs/{child['parent_run_id']}/children") == [child]
    hit = await api.trigger(
        run["job_id"], run["payload"], status=200, ttl_secs=600, **{name: run[name] for name in ASKED}
    )
    assert {name: value for name, value in hit.items() if name not in ("idempotency_hit", "joined", "dry_run")} == run


async def test_records_have_every_field_of_theirs(api: Speech, runs: list[Json]):
    base = f"/v1/runs/{runs[2]['id']}"
    for records, shape in (("events", EVENT), ("checkpoints", CHECKPOINT), ("outputs", OUTPUT)):
        rows = await api.listed(f"{base}/{records}")
        assert rows, records
        for row in rows:
            assert set(shape) <= set(row), records
            for name, example in shape.items():
                if row[name] is not None:
                    check(row[name], example, f"{records}.{name}")
