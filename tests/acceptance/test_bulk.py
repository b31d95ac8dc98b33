"""Many runs in one request: in order, in one transaction, each item with its own key."""

import pytest

from tests.acceptance.speech import Json, Speech, later, refused, said, unique

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


async def test_results_come_in_the_order_of_the_items_with_one_batch_id(api: Speech):
    job = await api.job("echo")
    answer = await api.bulk(job, [{"payload": {"place": place}} for place in range(120)])
    assert (answer["total"], answer["created"]) == (120, 120)
    runs = {run["id"]: run for run in await api.runs(batch_id=answer["batch_id"], limit=500)}
    assert len(runs) == 120
    placed = [runs[result["id"]]["payload"]["place"] for result in answer["results"]]
    assert placed == list(range(120))
    assert {run["batch_id"] for run in runs.values()} == {answer["batch_id"]}
    assert {result["status"] for result in answer["results"]} <= {"queued", "executing"}


async def test_each_item_may_say_what_a_trigger_may_say(api: Speech):
    job = await api.job("echo")
    now = (await api.trigger(job))["created_at"]
    due = later(now, hours=2)
    answer = await api.bulk(job, [{"scheduled_at": due, "tags": {"a": "b"}, "priority": 7}, {"metadata": {"c": "d"}}])
    first, second = [await api.run(result["id"]) for result in answer["results"]]
    assert (first["status"], first["tags"], first["priority"]) == ("delayed", {"a": "b"}, 7)
    assert second["metadata"] == {"c": "d"}


async def test_appendix_c_27_each_item_has_its_own_idempotency(api: Speech):
    job, key = await api.job("echo"), unique("key")
    items: list[Json] = [
        {"payload": {"a": 1}, "idempotency_key": key},
        {"payload": {"a": 1}, "idempotency_key": key},
        {"payload": {"a": 2}, "idempotency_key": key},
        {"payload": {"a": 3}},
    ]
    answer = await api.bulk(job, items)
    made, again, other, free = answer["results"]
    assert (again["id"], again["idempotency_hit"]) == (made["id"], True)
    assert (other["id"], other["code"], other["status"]) == (None, "idempotency.mismatch", None)
    assert other["error"]
    assert free["id"] not in (None, made["id"])
    assert (answer["total"], answer["created"]) == (4, 2)
    repeated = await api.bulk(job, items)
    assert [bool(each["status"]) for each in repeated["results"]] == [True, True, False, True]
    assert [each["idempotency_hit"] for each in repeated["results"]] == [True, True, False, False]
    hit = await api.trigger(job, {"a": 1}, idempotency_key=key, status=200)
    assert hit["id"] == made["id"], "a bulk item and a trigger share the key's name"


async def test_a_bulk_trigger_takes_1_to_1000_items(api: Speech):
    job = await api.job("echo")
    path = f"/v1/jobs/{job}/trigger/bulk"
    await refused(api.client.post(path, json={"items": [{}] * 1001}), 422, "request.invalid")
    await refused(api.client.post(path, json={"items": []}), 422, "request.invalid")
    assert await api.runs(job_id=job) == []
    assert (await api.bulk(job, [{}] * 1000))["created"] == 1000


async def test_appendix_c_27_one_item_that_is_not_valid_refuses_all_and_names_its_place(api: Speech):
    job = await api.job("echo")
    path = f"/v1/jobs/{job}/trigger/bulk"
    for odd, at in (
        ({"payload": []}, "items[2].payload"),
        ({"nope": 1}, "items[2].nope"),
        ({"priority": 11}, "items[2].priority"),
        ({"payload": {"a": {"b": "\0"}}}, "items[2].payload.a.b"),
        ({"dry_run": True}, "items[2].dry_run"),
        ({"retry_backoff": "custom"}, "items[2].retry_backoff"),
    ):
        details = await refused(api.client.post(path, json={"items": [{}, {}, odd]}), 422, "request.invalid")
        assert [field["path"] for field in details["fields"]] == [at]
    assert await api.runs(job_id=job) == []


async def test_a_bulk_trigger_is_one_transaction(api: Speech):
    job = await api.job("echo")
    answer = await api.bulk(job, [{"payload": {"n": n}} for n in range(700)])
    runs = await api.listed("/v1/runs", batch_id=answer["batch_id"], limit=500)
    created = [(await api.events(run["id"]))[0]["created_at"] for run in (runs[0], runs[350], runs[-1])]
    assert len(set(created)) == 1, "the events of one transaction carry one instant"


async def test_a_bulk_body_of_many_megabytes_is_taken(api: Speech):
    job = await api.job("echo")
    answer = await api.bulk(job, [{"payload": {"text": "x" * 30_000}} for _ in range(100)])
    run = await api.ended(answer["results"][99]["id"])
    assert run["result"] == {"text": "x" * 30_000}


async def test_a_key_in_the_header_names_the_items_by_their_places(api: Speech):
    job = await api.job("echo")
    path = f"/v1/jobs/{job}/trigger/bulk"
    items = [{"payload": {"n": n}} for n in range(3)]
    headers = {"idempotency-key": unique("key")}
    first = await said(api.client.post(path, json={"items": items}, headers=headers), 201)
    again = await said(api.client.post(path, json={"items": items}, headers=headers), 200)
    assert [each["id"] for each in again["results"]] == [each["id"] for each in first["results"]]
    assert all(each["idempotency_hit"] and each["status"] for each in again["results"])
    assert (again["created"], len(await api.runs(job_id=job))) == (0, 3)
    other = [*items[:2], {"payload": {"n": "other"}}]
    changed = await said(api.client.post(path, json={"items": other}, headers=headers), 201)
    assert [each["code"] for each in changed["results"]] == [None, None, "idempotency.mismatch"]
