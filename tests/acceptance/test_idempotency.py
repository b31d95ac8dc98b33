"""One key, one run: whoever sends again finds what was made; whoever sends something else is told both fingerprints."""

import asyncio
from collections import Counter

import pytest

from tests.acceptance.speech import Json, Speech, refused, said, unique

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

ONLY_OF_TRIGGERS = ("idempotency_hit", "dry_run", "joined")


def plain(run: Json) -> Json:
    return {name: value for name, value in run.items() if name not in ONLY_OF_TRIGGERS}


async def test_the_same_key_and_request_is_the_same_run_with_200(api: Speech):
    job, key = await api.job("echo"), unique("key")
    first = await api.trigger(job, {"a": 1}, idempotency_key=key)
    again = await api.trigger(job, {"a": 1}, idempotency_key=key, status=200)
    assert (first["idempotency_hit"], again["idempotency_hit"]) == (False, True)
    assert again["id"] == first["id"]
    await api.ended(first["id"])
    late = await api.trigger(job, {"a": 1}, idempotency_key=key, status=200)
    assert plain(late) == await api.run(first["id"]), "a hit shows the run as it stands now"
    assert [run["id"] for run in await api.runs(job_id=job)] == [first["id"]]


async def test_the_order_of_fields_makes_no_other_request(api: Speech):
    job, key = await api.job("echo"), unique("key")
    first = await api.trigger(job, {"a": 1, "b": {"c": 2, "d": 3}}, idempotency_key=key, tags={"x": "1"}, priority=3)
    again = await api.client.post(
        f"/v1/jobs/{job}/trigger",
        json={"priority": 3, "tags": {"x": "1"}, "payload": {"b": {"d": 3, "c": 2}, "a": 1}, "idempotency_key": key},
    )
    assert (again.status_code, again.json()["id"]) == (200, first["id"])


@pytest.mark.parametrize(
    "other", [{"payload": {"a": 2}}, {"payload": {"a": 1}, "priority": 1}, {"payload": {"a": 1}, "tags": {"a": "b"}}]
)
async def test_appendix_c_12_the_same_key_with_another_request_is_409_with_both_fingerprints(api: Speech, other: Json):
    job, key = await api.job("echo"), unique("key")
    await api.trigger(job, {"a": 1}, idempotency_key=key)
    path = f"/v1/jobs/{job}/trigger"
    details = await refused(api.client.post(path, json={**other, "idempotency_key": key}), 409, "idempotency.mismatch")
    assert set(details) == {"expected", "given"}
    assert details["expected"] != details["given"]
    assert len(await api.runs(job_id=job)) == 1


async def test_a_key_of_one_job_says_nothing_in_another(api: Speech):
    key = unique("key")
    one = await api.trigger(await api.job("echo"), {"a": 1}, idempotency_key=key)
    other = await api.trigger(await api.job("echo"), {"b": 2}, idempotency_key=key)
    assert one["id"] != other["id"]


@pytest.mark.parametrize("header", ["Idempotency-Key", "X-Idempotency-Key"])
async def test_the_key_may_stand_in_a_header(api: Speech, header: str):
    job, key = await api.job("echo"), unique("key")
    path = f"/v1/jobs/{job}/trigger"
    first = await said(api.client.post(path, json={}, headers={header: key}), 201)
    assert first["idempotency_key"] == key
    assert (await said(api.client.post(path, headers={header: key}), 200))["id"] == first["id"]
    assert (await said(api.client.post(path, json={"idempotency_key": key}), 200))["id"] == first["id"]


async def test_header_and_body_must_not_contradict_each_other(api: Speech):
    job, key = await api.job("echo"), unique("key")
    path = f"/v1/jobs/{job}/trigger"
    for headers, body in (
        ({"idempotency-key": key}, {"idempotency_key": "other"}),
        ({"idempotency-key": key, "x-idempotency-key": "other"}, {}),
    ):
        await refused(api.client.post(path, json=body, headers=headers), 422, "request.invalid")
    await said(api.client.post(path, json={"idempotency_key": key}, headers={"idempotency-key": key}), 201)


@pytest.mark.parametrize("key", ["", "x" * 257])
async def test_a_key_is_of_1_to_256_characters(api: Speech, key: str):
    job = await api.job("echo")
    path = f"/v1/jobs/{job}/trigger"
    await refused(api.client.post(path, json={"idempotency_key": key}), 422, "request.invalid")
    await refused(api.client.post(path, headers={"idempotency-key": key}), 422, "request.invalid")
    await api.trigger(job, idempotency_key="x" * 256)


async def test_appendix_c_12_100_concurrent_triggers_with_one_key_make_one_run(api: Speech):
    job, key = await api.job("echo"), unique("key")
    path = f"/v1/jobs/{job}/trigger"
    body = {"payload": {"a": 1}, "idempotency_key": key}
    answers = await asyncio.gather(*(api.client.post(path, json=body) for _ in range(100)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 99}
    assert len({answer.json()["id"] for answer in answers}) == 1
    run = await api.ended(answers[0].json()["id"])
    assert run["attempt"] == 1
    assert len(await api.runs(job_id=job)) == 1


async def test_100_concurrent_triggers_of_two_requests_with_one_key_make_one_run_and_50_conflicts(api: Speech):
    job, key = await api.job("echo"), unique("key")
    path = f"/v1/jobs/{job}/trigger"
    answers = await asyncio.gather(
        *(api.client.post(path, json={"payload": {"n": n % 2}, "idempotency_key": key}) for n in range(100))
    )
    assert Counter(answer.status_code for answer in answers) == {201: 1, 200: 49, 409: 50}
    assert len(await api.runs(job_id=job)) == 1


async def test_making_a_job_twice_with_one_key_makes_it_once(api: Speech):
    key, body = unique("key"), {"slug": unique("made")}
    first = await said(api.client.post("/v1/jobs", json=body, headers={"idempotency-key": key}), 201)
    assert await said(api.client.post("/v1/jobs", json=body, headers={"idempotency-key": key}), 200) == first
    other = api.client.post("/v1/jobs", json={"slug": unique("made")}, headers={"idempotency-key": key})
    await refused(other, 409, "idempotency.mismatch")


async def test_a_replay_sent_twice_with_one_key_is_one_run(api: Speech):
    run = await api.done(await api.job("echo"), {"a": 1})
    headers, path = {"idempotency-key": unique("key")}, f"/v1/runs/{run['id']}/replay"
    first = await said(api.client.post(path, json={"force": True}, headers=headers), 201)
    again = await said(api.client.post(path, json={"force": True}, headers=headers), 200)
    assert again["id"] == first["id"]
    other = api.client.post(path, json={"force": True, "payload": {"b": 2}}, headers=headers)
    await refused(other, 409, "idempotency.mismatch")
