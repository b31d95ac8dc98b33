"""The list of runs: every filter, all of them together, and pages that lose and repeat nothing while runs arrive."""

import asyncio
import json
from itertools import combinations
from typing import Any

import pytest

from tests.acceptance.contract import ContractClient
from tests.acceptance.gate import Gate
from tests.acceptance.speech import Json, Speech, later, refused, said

pytestmark = pytest.mark.xdist_group("acceptance-lists")


@pytest.fixture(scope="module")
async def shelf(admin: ContractClient) -> Json:
    """Fill a project with runs that differ in everything that a list can be filtered by."""
    api = Speech(admin)
    project = await api.project()
    echo = await api.job("echo", project_id=project, tags={"team": "a"}, default_metadata={"shelf": "x"})
    fails = await api.job("stumble", project_id=project, max_attempts=1)
    bulk = await api.bulk(echo, [{"payload": {"n": n, "deep": {"list": [n, {"a": n}]}}} for n in range(6)])
    ids = [result["id"] for result in bulk["results"]]
    for n in range(4):
        run = await api.trigger(
            echo,
            {"kind": "single", "n": n, "ok": n % 2 == 0, "none": None},
            tags={"env": "prod" if n % 2 else "test", "n": str(n)},
            metadata={"owner": f"user{n}"},
            concurrency_key=f"key{n % 2}",
        )
        ids.append(run["id"])
    ids += [(await api.trigger(fails, {"n": n}))["id"] for n in range(3)]
    now = (await api.run(ids[-1]))["created_at"]
    ids += [(await api.trigger(echo, {"late": True}, scheduled_at=later(now, hours=1)))["id"]]
    parent = ids[-1]
    ids += [(await api.trigger(echo, {"child": n}, parent_run_id=parent))["id"] for n in range(2)]
    await api.ended(ids[0])
    replayed = await said(admin.post(f"/v1/runs/{ids[0]}/replay", json={"force": True}), 201)
    ids.append(replayed["id"])
    for run_id in ids:
        if run_id != parent:
            await api.ended(run_id)
    runs = [await api.run(run_id) for run_id in ids]
    return {"project": project, "echo": echo, "fails": fails, "batch": bulk["batch_id"], "parent": parent, "runs": runs}


def contains(actual: Any, wanted: Any) -> bool:
    """Tell, as simply as can be, whether PostgreSQL's `actual @> wanted` holds for what these tests ask."""
    if isinstance(wanted, dict):
        return isinstance(actual, dict) and all(k in actual and contains(actual[k], v) for k, v in wanted.items())
    if isinstance(wanted, list):
        return isinstance(actual, list) and all(any(contains(item, want) for item in actual) for want in wanted)
    return type(actual) is type(wanted) and bool(actual == wanted)


def cases(shelf: Json) -> dict[str, tuple[dict[str, Any], Any]]:
    """Return each filter with parameters and the rule that it stands for."""
    runs = shelf["runs"]
    middle, finished = runs[7]["created_at"], sorted({run["finished_at"] or "" for run in runs})[3]
    asked = {"deep": {"list": [{"a": 3}]}}
    return {
        "status": ({"status": "completed"}, lambda run: run["status"] == "completed"),
        "two statuses": ({"status": ["failed", "delayed"]}, lambda run: run["status"] in ("failed", "delayed")),
        "state": ({"state": "failed"}, lambda run: run["state"] == "failed"),
        "kind": ({"kind": "all"}, lambda run: True),
        "job": ({"job_id": shelf["fails"]}, lambda run: run["job_id"] == shelf["fails"]),
        "triggered by": ({"triggered_by": "retry"}, lambda run: run["triggered_by"] == "retry"),
        "batch": ({"batch_id": shelf["batch"]}, lambda run: run["batch_id"] == shelf["batch"]),
        "payload": ({"payload_contains": json.dumps(asked)}, lambda run: contains(run["payload"], asked)),
        "payload null": ({"payload_contains": '{"none": null}'}, lambda run: "none" in run["payload"]),
        "payload true": ({"payload_contains": '{"ok": true}'}, lambda run: run["payload"].get("ok") is True),
        "payload all": ({"payload_contains": "{}"}, lambda run: True),
        "metadata key": ({"metadata_key": "owner"}, lambda run: "owner" in run["metadata"]),
        "metadata": (
            {"metadata_key": "shelf", "metadata_value": "x"},
            lambda run: run["metadata"].get("shelf") == "x",
        ),
        "metadata map": ({"metadata[owner]": "user2"}, lambda run: run["metadata"].get("owner") == "user2"),
        "tag key": ({"tag_key": "env"}, lambda run: "env" in run["tags"]),
        "tag": ({"tag_key": "env", "tag_value": "prod"}, lambda run: run["tags"].get("env") == "prod"),
        "tags map": (
            {"tags[env]": "prod", "tags[n]": "1"},
            lambda run: run["tags"].get("env") == "prod" and run["tags"].get("n") == "1",
        ),
        "concurrency key": ({"concurrency_key": "key1"}, lambda run: run["concurrency_key"] == "key1"),
        "parent": ({"parent_run_id": shelf["parent"]}, lambda run: run["parent_run_id"] == shelf["parent"]),
        "error class": ({"error_class": "ValueError"}, lambda run: run["error_class"] == "ValueError"),
        "execution mode": ({"execution_mode": "worker"}, lambda run: True),
        "created after": ({"created_after": middle}, lambda run: run["created_at"] > middle),
        "created before": ({"created_before": middle}, lambda run: run["created_at"] < middle),
        "finished after": ({"finished_after": finished}, lambda run: (run["finished_at"] or "") > finished),
        "finished before": (
            {"finished_before": finished},
            lambda run: run["finished_at"] is not None and run["finished_at"] < finished,
        ),
    }


async def ask(api: Speech, shelf: Json, params: dict[str, Any]) -> list[str]:
    return [run["id"] for run in await api.runs(project_id=shelf["project"], limit=500, **params)]


def expected(shelf: Json, *rules: Any) -> list[str]:
    return sorted((run["id"] for run in shelf["runs"] if all(rule(run) for rule in rules)), reverse=True)


async def test_each_filter_returns_exactly_the_runs_that_it_names(api: Speech, shelf: Json):
    for name, (params, rule) in cases(shelf).items():
        assert await ask(api, shelf, params) == expected(shelf, rule), name
        assert expected(shelf, rule), f"{name}: the case proves nothing"


async def test_any_two_filters_combine(api: Speech, shelf: Json):
    for (one, (first, rule)), (two, (second, other)) in combinations(cases(shelf).items(), 2):
        if not set(first) & set(second):
            assert await ask(api, shelf, {**first, **second}) == expected(shelf, rule, other), (one, two)


async def test_all_filters_at_once_find_the_one_run(api: Speech, shelf: Json):
    run = shelf["runs"][8]
    params = {
        "status": ["completed", "failed"],
        "state": "completed",
        "kind": "job",
        "job_id": shelf["echo"],
        "triggered_by": "manual",
        "payload_contains": '{"kind": "single"}',
        "metadata[owner]": "user2",
        "metadata_key": "shelf",
        "tags[env]": "test",
        "tag_key": "team",
        "concurrency_key": "key0",
        "execution_mode": "worker",
        "created_after": later(run["created_at"], microseconds=-1),
        "created_before": later(run["created_at"], microseconds=1),
        "finished_after": later(run["finished_at"], microseconds=-1),
        "finished_before": later(run["finished_at"], microseconds=1),
        "order": "asc",
        "limit": 1,
    }
    assert await api.runs(project_id=shelf["project"], **params) == [run]
    assert await api.runs(project_id=shelf["project"], **{**params, "created_before": run["created_at"]}) == []


async def test_an_instant_with_a_plain_plus_is_read_as_it_was_meant(api: Speech, shelf: Json):
    run = shelf["runs"][8]
    plain = run["created_at"].replace("Z", "+00:00")
    response = await api.client.get(f"/v1/runs?job_id={shelf['echo']}&created_before={plain}")
    assert response.json() == await api.runs(job_id=shelf["echo"], created_before=run["created_at"])


@pytest.mark.parametrize(
    ("params", "path"),
    [
        ({"status": "nonsense"}, "status"),
        ({"status": ["completed", "nonsense"]}, "status"),
        ({"state": "running"}, "state"),
        ({"kind": "nonsense"}, "kind"),
        ({"triggered_by": "nonsense"}, "triggered_by"),
        ({"triggered_by": "null"}, "triggered_by"),
        ({"execution_mode": "by hand"}, "execution_mode"),
        ({"payload_contains": "{"}, "payload_contains"),
        ({"payload_contains": ""}, "payload_contains"),
        ({"metadata_value": "x"}, "metadata_value"),
        ({"tag_value": "x"}, "tag_value"),
        ({"created_after": "yesterday"}, "created_after"),
        ({"created_before": "2026-01-01T00:00:00"}, "created_before"),
        ({"finished_after": "12:00"}, "finished_after"),
        ({"finished_before": "null"}, "finished_before"),
        ({"created_after": "1767225600"}, "created_after"),
        ({"created_before": "-1767225600.5"}, "created_before"),
        ({"finished_after": "1e9"}, "finished_after"),
    ],
)
async def test_a_filter_that_means_nothing_is_refused_by_its_name(api: Speech, params: dict[str, Any], path: str):
    details = await refused(api.client.get("/v1/runs", params=params), 422, "request.invalid")
    assert details["fields"][0]["path"].startswith(path)


async def test_a_filter_that_names_nothing_finds_nothing(api: Speech):
    nothing = "run_" + "0" * 12 + "7" + "0" * 3 + "8" + "0" * 15
    for name in ("job_id", "batch_id", "parent_run_id", "concurrency_key", "error_class", "metadata_key", "tag_key"):
        assert await api.runs(**{name: nothing}) == []


async def test_a_project_is_named_by_id_or_slug_and_without_one_all_are_listed(api: Speech, shelf: Json):
    slug = (await said(api.client.get(f"/v1/projects/{shelf['project']}")))["slug"]
    by_id = await api.runs(project_id=shelf["project"])
    assert by_id == await api.runs(project_id=slug)
    other = await api.trigger(await api.job("echo"))
    assert other["id"] not in [run["id"] for run in by_id]
    assert [run["id"] for run in await api.runs(limit=1)] == [other["id"]]


@pytest.mark.parametrize("order", ["asc", "desc"])
@pytest.mark.parametrize("limit", [1, 3, 7])
async def test_pages_hold_every_row_once_in_both_orders(api: Speech, shelf: Json, order: str, limit: int):
    paged = await api.listed("/v1/runs", project_id=shelf["project"], limit=limit, order=order)
    whole = await api.runs(project_id=shelf["project"], limit=500, order=order)
    assert paged == whole
    assert [run["id"] for run in whole] == sorted((run["id"] for run in whole), reverse=order == "desc")


async def test_pages_of_a_filter_hold_every_row_once(api: Speech, shelf: Json):
    for params in ({"tag_key": "team"}, {"status": "completed"}, {"payload_contains": '{"n": 1}'}):
        paged = await api.listed("/v1/runs", project_id=shelf["project"], limit=2, **params)
        assert paged == await api.runs(project_id=shelf["project"], limit=500, **params)


async def test_the_link_of_a_page_leads_to_the_next_with_all_filters(api: Speech, shelf: Json):
    params = {"project_id": shelf["project"], "limit": 2, "status": ["completed", "failed"], "tags[team]": "a"}
    response = await api.client.get("/v1/runs", params=params)
    target, _, relation = response.headers["link"].partition(";")
    assert relation.strip() == 'rel="next"'
    following = await said(api.client.get(target.strip("<>")))
    assert following == await api.runs(**params, cursor=response.headers["x-next-cursor"])
    last = await api.client.get("/v1/runs", params={"project_id": shelf["project"], "limit": 500})
    assert "link" not in last.headers
    assert "x-next-cursor" not in last.headers


async def test_a_cursor_is_a_row_or_an_instant_and_before_is_its_synonym(api: Speech, shelf: Json):
    whole = await api.runs(project_id=shelf["project"], limit=500)
    row = whole[4]
    for name in ("cursor", "before"):
        assert await api.runs(project_id=shelf["project"], limit=500, **{name: row["id"]}) == whole[5:]
        older = await api.runs(project_id=shelf["project"], limit=500, **{name: row["created_at"]})
        assert older == [run for run in whole if run["created_at"] < row["created_at"]]
        with_offset = later(row["created_at"], hours=2).replace("+00:00", "+02:00")
        assert await api.runs(project_id=shelf["project"], limit=500, **{name: with_offset}) == older
    newer = await api.runs(project_id=shelf["project"], limit=500, order="asc", cursor=row["created_at"])
    assert newer == [run for run in reversed(whole) if run["created_at"] > row["created_at"]]


@pytest.mark.parametrize("order", ["asc", "desc"])
async def test_no_row_is_lost_or_repeated_while_runs_arrive(api: Speech, order: str):
    project = await api.project()
    job = await api.job("echo", project_id=project)
    there = {result["id"] for result in (await api.bulk(job, [{}] * 60))["results"]}
    stop = asyncio.Event()

    async def arrivals() -> set[str]:
        made = set()
        while not stop.is_set():
            made |= {result["id"] for result in (await api.bulk(job, [{}] * 5))["results"]}
        return made

    arriving = asyncio.create_task(arrivals())
    seen: list[str] = []
    cursor: Json = {}
    while True:
        page = await api.client.get("/v1/runs", params={"project_id": project, "limit": 7, "order": order, **cursor})
        seen += [run["id"] for run in page.json()]
        if len(seen) >= 60:
            stop.set()
        if "x-next-cursor" not in page.headers:
            break
        cursor = {"cursor": page.headers["x-next-cursor"]}
    made = await arriving
    assert len(seen) == len(set(seen))
    assert there <= set(seen) <= there | made
    assert seen == sorted(seen, reverse=order == "desc")


async def test_children_come_oldest_first_in_pages(api: Speech, shelf: Json):
    path = f"/v1/runs/{shelf['parent']}/children"
    children = [run for run in shelf["runs"] if run["parent_run_id"] == shelf["parent"]]
    assert await said(api.client.get(path)) == children
    assert await api.listed(path, limit=1) == children
    assert await api.listed(path, limit=1, order="desc") == children[::-1]


async def test_a_list_shows_runs_as_they_stand_while_they_execute(api: Speech, gate: Gate):
    job = await api.job("hold")
    run = await api.trigger(job, {"gate": gate.port})
    await gate.arrived()
    shown = (await api.runs(job_id=job))[0]
    assert (shown["status"], shown["id"]) == ("executing", run["id"])
    assert shown["heartbeat_at"] is not None
    gate.open()
    ended = await api.ended(run["id"])
    assert (await api.runs(job_id=job)) == [ended]
    assert ended["heartbeat_at"] is None
