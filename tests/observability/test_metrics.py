"""What happens to runs, requests and streams is counted once, under labels that do not grow, and shown whole."""

import re
from pathlib import Path

import pytest

from runwright import telemetry
from runwright.auth.signing_keys import SigningKeys
from runwright.clock import FrozenClock
from runwright.domain import outcome as o
from runwright.errors import StoreError
from runwright.governance.evidence import Evidence
from runwright.observability import catalogue
from runwright.observability.catalogue import METRICS, OF_THE_PROCESS
from runwright.observability.tallies import SERIES_MAX, Counter, Histogram
from tests.acceptance.gate import opened_gate
from tests.api.served import ok, refused, serving
from tests.engine.conftest import Opener
from tests.engine.databases import sqlite
from tests.engine.flowing import diamond, flow, launch, settle, work_off
from tests.engine.signalling import parked, send
from tests.engine.timetable import MINUTE, Town
from tests.engine.world import ADMIN, World, failed
from tests.observability.scrape import Scrape, scrape, watch
from tests.waiting import until

UNITS = re.compile(r"_(seconds|bytes|requests|runs|total|slots|slots_busy|connections|open|peers|info|token_usage)$")


# --- runs -------------------------------------------------------------------------------------------------------------


async def test_runs_are_counted_by_how_they_ended_and_why(world: World):
    metrics = watch(world.engine)
    for outcome in (o.Completed(), failed(), failed(retryable=False), failed(reason="timeout")):
        await world.submit(world.job(max_attempts=1))
        await world.finish((await world.take())[0], outcome)
    await world.stop(await world.submit(world.job()))
    await world.submit(world.job(), ttl_secs=1)
    await world.past(2)
    shown = await scrape(metrics)
    assert shown.value("runwright_runs_created_total", kind="job", executor="worker") == 6
    assert shown.series("runwright_runs_ended_total") == {
        ("job", "", "completed"): 1,
        ("job", "error", "failed"): 1,
        ("job", "rejected", "failed"): 1,
        ("job", "timeout", "failed"): 1,
        ("job", "user", "cancelled"): 1,
        ("job", "ttl", "expired"): 1,
    }
    assert shown.value("runwright_run_duration_seconds_count", kind="job", state="failed") == 3
    metrics.close()


async def test_attempts_retries_and_dead_letters_are_counted_with_their_times(world: World):
    metrics = watch(world.engine)
    await world.submit(world.job(max_attempts=2, retry_initial_delay_secs=1))
    world.clock.advance(3)
    run = (await world.take())[0]
    world.clock.advance(0.7)
    await world.finish(run, failed())
    await world.past(1)
    await world.finish((await world.take())[0], failed())
    shown = await scrape(metrics)
    assert shown.value("runwright_run_retries_total") == 1
    assert shown.value("runwright_dead_letters_total") == 1
    assert shown.value("runwright_attempt_duration_seconds_count", executor="worker", outcome="failed") == 2
    assert shown.value("runwright_attempt_duration_seconds_sum", executor="worker", outcome="failed") == 0.7
    assert shown.value("runwright_queue_wait_seconds_sum", executor="worker") == 3
    buckets = shown.series("runwright_queue_wait_seconds_bucket")
    assert (buckets["worker", "1.0"], buckets["worker", "5.0"], buckets["worker", "+Inf"]) == (1, 2, 2)
    metrics.close()


async def test_waits_are_counted_by_what_they_are_for_and_how_they_ended(world: World):
    metrics = watch(world.engine)
    for key in ("came", "late", "stopped"):
        run = await parked(world, key, within_s=60)
    world.clock.advance(30)
    await send(world, "came")
    await world.stop(run.run_id)
    await world.past(30)
    child = world.order(world.job("other"), triggered_by="event", triggered_by_run_id=run.run_id, chain_depth=1)
    await world.engine.commit.apply(child)
    shown = await scrape(metrics)
    assert shown.value("runwright_waits_total", on="event") == 3
    seconds = shown.series("runwright_wait_duration_seconds_sum")
    assert seconds == {("came", "event"): 30, ("late", "event"): 60, ("stopped", "event"): 30}
    assert shown.series("runwright_runs_triggered_total") == {("manual",): 3, ("chain",): 1}
    metrics.close()


async def test_lost_leases_and_fenced_attempts_are_counted_apart(world: World):
    metrics = watch(world.engine)
    await world.submit(world.job())
    await world.take()
    await world.reap(31)
    assert await _losses(metrics) == (1, 0)
    stubborn = await world.submit(world.job())
    await world.take()
    await world.stop(stubborn)
    await world.reap(11)
    assert await _losses(metrics) == (1, 1)
    metrics.close()


async def _losses(metrics) -> tuple[float | None, float | None]:
    shown = await scrape(metrics)
    return shown.value("runwright_lease_losses_total"), shown.value("runwright_fences_total")


async def test_fires_are_counted_with_how_late_they_came_and_those_that_made_no_run_by_why(tmp_path: Path):
    with sqlite(tmp_path) as database:
        town = Town(tmp_path, FrozenClock(), (), database)
        await town.open()
        metrics = watch(town.engine)
        for overlap in ("skip", "cancel"):
            await town.create(overlap, cron="* * * * *", overlap=overlap)
        await town.look(MINUTE + 2)
        await town.look(2 * MINUTE)
        await town.engine.commit.idle()
        shown = await scrape(metrics)
        assert shown.value("runwright_cron_fires_total") == 3
        assert shown.value("runwright_cron_lateness_seconds_sum") == 6
        assert shown.value("runwright_cron_missed_total") == 2
        assert shown.series("runwright_cron_overlaps_total") == {("skipped",): 1, ("cancelled",): 1}
        assert shown.value("runwright_cron_refused_total") == 0
        metrics.close()
        await town.close()


async def test_the_steps_of_workflows_are_counted_by_what_became_of_them(world: World):
    metrics = watch(world.engine)
    await launch(await settle(world), await flow(world, diamond("skip_dependents")))
    await work_off(world, {"left"})
    counted = (await scrape(metrics)).series("runwright_workflow_steps_total")
    assert counted == {("started",): 3, ("completed",): 2, ("failed",): 1, ("skipped",): 1}
    metrics.close()


# --- the commit -------------------------------------------------------------------------------------------------------


async def test_a_transaction_is_counted_once_with_all_its_commands_and_events(world: World):
    metrics = watch(world.engine)
    await world.engine.commit.apply_all([world.order(world.job()) for _ in range(7)])
    shown = await scrape(metrics)
    assert shown.value("runwright_commit_duration_seconds_count") == 1
    assert shown.value("runwright_commit_batch_requests_sum") == 7
    assert shown.value("runwright_events_appended_total", type="run.created") == 7
    metrics.close()


async def test_a_transaction_that_fails_is_counted_by_its_code_and_no_run_of_it_is(world: World):
    metrics = watch(world.engine)
    await world.store.close()
    with pytest.raises(StoreError):
        await world.submit(world.job())
    shown = await scrape(metrics)
    assert sum(shown.series("runwright_commit_failures_total").values()) == 1
    assert shown.series("runwright_runs_created_total") == {}
    assert shown.series("runwright_queue_ready_runs") == {}, "the store cannot say it, and the rest is shown"
    metrics.close()


async def test_the_backlog_is_what_waits_at_the_moment(world: World):
    metrics = watch(world.engine)
    world.engine.commit._backlog += 3
    shown = await scrape(metrics)
    assert shown.value("runwright_commit_backlog_requests") == 3
    assert shown.value("runwright_commit_backlog_limit_requests") == world.settings.commit_backlog_max
    metrics.close()


async def test_bulk_verbs_count_their_items_once_and_heads_of_queues_age(open_world: Opener):
    world = await open_world(commit_batch_max=2)
    metrics = watch(world.engine)
    made = [await world.submit(world.job()) for _ in range(5)]
    world.clock.advance(30)
    assert (await scrape(metrics)).value("runwright_queue_oldest_ready_seconds", queue="default") == 30
    await world.engine.bulk.cancel(world.reader(), ADMIN, [*made, "run_unknown"], reason=None, request_id=None)
    shown = await scrape(metrics)
    assert shown.value("runwright_bulk_items_total", verb="cancel", result="done") == 5
    assert shown.value("runwright_bulk_items_total", verb="cancel", result="refused") == 1
    assert shown.series("runwright_queue_oldest_ready_seconds") == {}
    metrics.close()


async def test_the_deepest_queues_are_shown_by_name_and_the_rest_as_one(world: World):
    metrics = watch(world.engine, queues_max=2)
    for queue, count in (("deep", 3), ("middle", 2), ("one", 1), ("two", 1)):
        for _ in range(count):
            await world.submit(world.job(queue=queue))
    assert (await scrape(metrics)).series("runwright_queue_ready_runs") == {
        ("deep",): 3,
        ("middle",): 2,
        ("other",): 2,
    }
    metrics.close()


# --- the surface ------------------------------------------------------------------------------------------------------


async def test_requests_are_counted_by_template_and_never_by_what_was_asked_for(tmp_path: Path):
    async with serving(tmp_path) as served:
        for number in range(20):
            assert (await served.admin.get(f"/v1/runs/run_{number:032x}")).status_code == 404
            assert (await served.admin.request(f"ODD{number}", f"/nothing/{number}")).status_code == 404
        shown = Scrape((await served.admin.get("/metrics")).text)
    assert shown.series("runwright_http_requests_total") == {
        ("GET", "/v1/runs/{run_id}", "4xx"): 20,
        ("other", "none", "4xx"): 20,
    }
    assert shown.value("runwright_http_request_duration_seconds_count", method="GET", route="/v1/runs/{run_id}") == 20


async def test_only_who_may_read_metrics_reads_them(tmp_path: Path):
    async with serving(tmp_path) as served:
        await refused(served.client(None).get("/metrics"), 401, "auth.unauthenticated")
        await refused((await served.key("runs:read")).get("/metrics"), 403, "auth.missing_scope")
        assert (await (await served.key("metrics:read")).get("/metrics")).status_code == 200


async def test_a_setting_lets_everybody_read_the_metrics(tmp_path: Path):
    async with serving(tmp_path, metrics_public=True) as served:
        assert (await served.client(None).get("/metrics")).status_code == 200


async def test_a_server_shows_exactly_the_metrics_of_the_catalogue(tmp_path: Path):
    async with serving(tmp_path) as served:
        response = await served.admin.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=0.0.4")
    families = Scrape(response.text).families
    declared = [metric.name.removesuffix("_total") for metric in METRICS]
    assert sorted(name for name in families if name.startswith(("runwright_", "gen_ai_"))) == sorted(declared)
    others = {name for name in families if not name.startswith(("runwright_", "gen_ai_"))}
    assert others == {name.removesuffix("_total") for name in OF_THE_PROCESS}
    assert {metric.name: families[metric.name.removesuffix("_total")].type for metric in METRICS} == {
        metric.name: metric.kind for metric in METRICS
    }


async def test_a_scraper_that_asks_for_openmetrics_gets_it(tmp_path: Path):
    async with serving(tmp_path) as served:
        accept = {"accept": "application/openmetrics-text; version=1.0.0"}
        response = await served.admin.get("/metrics", headers=accept)
    assert response.headers["content-type"].startswith("application/openmetrics-text; version=1.0.0")
    assert response.text.endswith("# EOF\n")


async def test_a_server_that_was_closed_counts_no_more(tmp_path: Path):
    async with serving(tmp_path) as served:
        await ok(served.admin.get("/v1/jobs"))
        metrics = served.house.services.metrics
    telemetry.observe(
        "http.answered", method="GET", route="/", status=200, seconds=0.0, request_id="", trace_id="", code=None
    )
    shown = Scrape((await metrics.page(None))[0].decode())
    assert shown.series("runwright_http_requests_total") == {("GET", "/v1/jobs", "2xx"): 1}


async def test_two_servers_in_one_process_have_registries_of_their_own(tmp_path: Path):
    async with serving(tmp_path / "a") as one, serving(tmp_path / "b", slots=7) as other:
        assert one.house.services.metrics is not other.house.services.metrics
        both = [Scrape((await each.admin.get("/metrics")).text) for each in (one, other)]
    assert [shown.value("runwright_build_info", version="0.1.0") for shown in both] == [1, 1]


async def test_slots_and_what_executes_in_them_are_shown(tmp_path: Path):
    async with (
        opened_gate() as gate,
        serving(
            tmp_path,
            worker=("tests.acceptance.handlers:app",),
            slots=7,
            dispatch_slots=3,
            agent_slots=2,
            runtime_slots=4,
            delivery_slots=5,
        ) as served,
    ):
        await ok(served.admin.post("/v1/jobs/hold/trigger", json={"payload": {"gate": gate.port}}), 201)
        await gate.arrived()
        busy = Scrape((await served.admin.get("/metrics")).text)
        gate.open()
        workers = served.house.services.engine.workers
        await until(lambda: all(worker.busy == 0 for worker in workers))
        idle = Scrape((await served.admin.get("/metrics")).text)
    slots = {("agent",): 2, ("http",): 3, ("orchestrated",): 4, ("omar",): 4, ("delivery",): 5, ("worker",): 7}
    assert busy.series("runwright_worker_slots") == slots
    assert busy.series("runwright_worker_slots_busy") == {
        ("agent",): 0,
        ("http",): 0,
        ("delivery",): 0,
        ("orchestrated",): 0,
        ("omar",): 0,
        ("worker",): 1,
    }
    assert busy.value("runwright_claim_to_start_seconds_count", executor="worker") == 1
    assert set(idle.series("runwright_worker_slots_busy").values()) == {0}


# --- the tallies ------------------------------------------------------------------------------------------------------


def test_labels_that_grow_without_end_are_counted_as_other():
    counter, histogram = Counter(catalogue.RUNS_CREATED), Histogram(catalogue.QUEUE_WAIT)
    for number in range(SERIES_MAX + 50):
        counter.add((str(number), "python"))
        histogram.observe(1.0, (str(number),))
    series = [sample for sample in counter.family().samples if sample.name.endswith("_total")]
    assert len(series) == SERIES_MAX + 1
    assert [sample.value for sample in series if sample.labels["kind"] == "other"] == [50]
    counts = [sample for sample in histogram.family().samples if sample.name.endswith("_count")]
    assert {sample.value for sample in counts if sample.labels["executor"] == "other"} == {50}


def test_a_value_on_a_bound_belongs_to_its_bucket():
    histogram = Histogram(catalogue.COMMIT_REQUESTS)
    for value in (1, 2, 3, 5000):
        histogram.observe(value)
    buckets = {s.labels["le"]: s.value for s in histogram.family().samples if s.name.endswith("_bucket")}
    assert (buckets["1.0"], buckets["2.0"], buckets["5.0"], buckets["2500.0"], buckets["+Inf"]) == (1, 2, 3, 3, 4)


def test_names_say_their_unit_and_counters_end_in_total():
    assert [m.name for m in METRICS if not UNITS.search(m.name)] == []
    assert [m.name for m in METRICS if (m.kind == "counter") != m.name.endswith("_total")] == []
    assert [m.name for m in METRICS if (m.kind == "histogram") != bool(m.buckets)] == []
    assert [m.name for m in METRICS if list(m.buckets) != sorted(set(m.buckets))] == []
    assert [label for m in METRICS for label in m.labels if label.endswith("_id")] == []


async def test_evidence_bundles_are_counted_with_their_time_and_size_and_refusals_by_their_code(world: World):
    metrics = watch(world.engine)
    world.database.change("INSERT INTO organizations VALUES ('org_1', 'o', 'O', 0) ON CONFLICT DO NOTHING")
    run_id = await world.submit(world.job(max_attempts=1))
    await world.finish((await world.take())[0], o.Completed())
    office = Evidence(world.engine, SigningKeys(world.store, world.keyring))
    (await office.export(ADMIN, run_id, "public", "zip")).close()
    world.database.change("UPDATE run_events SET message = 'other' WHERE seq = 2")
    with pytest.raises(StoreError):
        await office.export(ADMIN, run_id, "full", "zip")
    shown = await scrape(metrics)
    assert shown.value("runwright_evidence_export_duration_seconds_count", profile="public", form="zip") == 1
    assert shown.value("runwright_evidence_export_bytes_count", form="zip") == 1
    assert shown.series("runwright_evidence_refused_total") == {("evidence.log_broken",): 1}
    metrics.close()
