"""KPIs over HTTP: windows, groups, runs behind a number; never those of others."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.served import Served, ok, serving
from tests.waiting import until

PATH = "/api/v1/runtime/kpi"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    async with serving(
        tmp_path_factory.mktemp("kpi"), worker=("tests.acceptance.handlers:app",), outbox_s=0.02
    ) as served:
        await ok(served.admin.post("/v1/jobs", json={"slug": "e", "handler": "echo"}), 201)
        for number in range(5):
            await ok(served.admin.post("/v1/jobs/e/trigger", json={"payload": {"n": number}}), 201)
        yield served


async def settled(served: Served, **params: Any) -> dict[str, Any]:
    """Return the KPIs once all runs have ended and were counted, and as none that is open."""

    def counted(found: dict[str, Any]) -> bool:
        closed = metric(found, "closure_rate")["compare"]
        return (metric(found, "throughput")["compare"]["n"], closed["n"], closed["censored"]) == (5, 5, 0)

    found: dict[str, Any] = await until(lambda: ok(served.admin.get(PATH, params=params)), counted)
    return found


def metric(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(dict(each) for each in found["metrics"] if each["id"] == name)


async def test_must_show_6_an_absent_or_empty_parameter_is_its_default(server: Served) -> None:
    plain = await settled(server)
    assert (plain["compare"]["days"], plain["baseline"]["days"]) == (7, 28)
    assert plain["baseline"]["until_at"] == plain["compare"]["from_at"]
    assert plain["compare"]["until_at"] == plain["as_of"]
    as_the_seed_writes_it = await ok(server.admin.get(f"{PATH}?compare_window_days=&baseline_window_days="))
    assert as_the_seed_writes_it == plain
    longest = await ok(server.admin.get(PATH, params={"compare_window_days": "365", "baseline_window_days": "1"}))
    assert (longest["compare"]["days"], longest["baseline"]["days"]) == (365, 1)


@pytest.mark.parametrize("days", ["0", "366", "-1", "7.5", "seven", " 7", "٣", "1e1", "null"])
async def test_a_window_that_means_nothing_is_422(server: Served, days: str) -> None:
    for name in ("compare_window_days", "baseline_window_days"):
        answer = await server.admin.get(PATH, params={name: days})
        error = answer.json()["error"]
        assert (answer.status_code, error["code"]) == (422, "WINDOW_INVALID")
        assert error["details"]["fields"][0]["path"] == name


@pytest.mark.parametrize("as_of", ["2027-01-01T00:30:00Z", "2999-01-01T00:00:00Z", "1969-01-01T00:00:00Z"])
async def test_windows_end_at_whole_hours_that_have_begun(server: Served, as_of: str) -> None:
    answer = await server.admin.get(PATH, params={"as_of": as_of})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "WINDOW_INVALID")


async def test_values_stand_with_their_counts_and_nothing_is_null(server: Served) -> None:
    found = await settled(server, group_by="kind")
    success = metric(found, "success_rate")
    assert success["compare"] == {
        "value": 1.0, "p90": None, "n": 5, "ci95": success["compare"]["ci95"], "censored": None,
    }  # fmt: skip
    assert 0.5 < success["compare"]["ci95"][0] < success["compare"]["ci95"][1] == 1.0
    assert success["baseline"] == {"value": None, "p90": None, "n": 0, "ci95": None, "censored": None}
    assert (success["significance"], success["delta_pct"]) == ("insufficient_data", None)
    assert 0 < metric(found, "time_to_close")["compare"]["value"] <= metric(found, "time_to_close")["compare"]["p90"]
    assert metric(found, "cost_per_run")["compare"]["value"] is None
    assert [(group["label"], group["runs"]) for group in found["groups"]] == [("job", 5)]
    assert found["groups_total"] == 1
    assert (await ok(server.admin.get(PATH)))["groups"] == []


async def test_every_number_leads_to_its_runs(server: Served) -> None:
    await settled(server)
    whole = await ok(server.admin.get(f"{PATH}/runs", params={"metric": "time_to_close"}))
    assert len(whole) == 5
    assert all(len(run["values"]) == 1 for run in whole)
    seen: list[str] = []
    answer = await server.admin.get(f"{PATH}/runs", params={"limit": 2})
    while True:
        seen += [run["run_id"] for run in answer.json()]
        if (cursor := answer.headers.get("x-next-cursor")) is None:
            break
        answer = await server.admin.get(f"{PATH}/runs", params={"limit": 2, "cursor": cursor})
    assert seen == [run["run_id"] for run in whole]
    for params in ({"metric": "cost_per_run"}, {"side": "baseline"}, {"kind": "agent"}, {"model": "local/none"}):
        assert await ok(server.admin.get(f"{PATH}/runs", params=params)) == []
    answer = await server.admin.get(f"{PATH}/runs", params={"metric": "luck"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "VALIDATION")


async def test_a_key_counts_only_what_it_may_see(server: Served) -> None:
    await settled(server)
    neighbour = await server.neighbour()
    assert metric(await ok(neighbour.get(PATH)), "throughput")["compare"]["n"] == 0
    assert await ok(neighbour.get(f"{PATH}/runs")) == []
    project = await ok(server.admin.post("/v1/projects", json={"slug": "quiet"}), 201)
    bound = await server.key("kpi:read", project_id="quiet")
    quiet = await ok(bound.get(PATH))
    assert (quiet["project_id"], metric(quiet, "throughput")["compare"]["n"]) == (project["id"], 0)
    assert await ok(bound.get(f"{PATH}/runs")) == []
    answer = await bound.get(PATH, params={"project_id": "default"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "PROJECTS_NOT_FOUND")
    stranger = await server.key("runs:read")
    assert (await stranger.get(PATH)).status_code == 403


async def test_an_erasure_takes_the_repository_of_a_run_out_of_the_list_whether_it_was_counted_or_not(tmp_path: Path):
    async with serving(tmp_path, outbox_s=600, repository_roots="/srv") as served:
        early, late = [await refused_checkout(served) for _ in range(2)]
        await ok(served.admin.post(f"/v1/runs/{early}/erase"))
        await served.house.services.engine.operations.outbox.loop._once()
        assert await repositories(served) == {early: None, late: "/srv/customer"}
        await ok(served.admin.post(f"/v1/runs/{late}/erase"))
        assert await repositories(served) == {early: None, late: None}


async def repositories(served: Served) -> dict[str, str | None]:
    return {row["run_id"]: row["repo"] for row in await ok(served.admin.get(f"{PATH}/runs"))}


async def refused_checkout(served: Served) -> str:
    """Return a run that has ended for want of its repository."""
    made = await ok(served.admin.post("/api/v1/runs", json={"repo": "/srv/customer"}), 201)
    await served.ended(made["run_id"])
    return str(made["run_id"])
