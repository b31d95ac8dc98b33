"""Replays: a new run of an ended one, linked both ways, with its payload, another, or a patched one."""

import pytest

from tests.acceptance.gate import Gate
from tests.acceptance.speech import Json, Speech, refused, said

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


async def replay(api: Speech, run_id: str, **body: object) -> Json:
    made: Json = await said(api.client.post(f"/v1/runs/{run_id}/replay", json=body), 201)
    return made


async def test_a_failed_run_is_replayed_as_a_new_run_and_linked_both_ways(api: Speech):
    job = await api.job("stumble", max_attempts=2)
    dead = await api.done(
        job,
        {"how": "error", "times": 5},
        tags={"a": "b"},
        metadata={"c": "d"},
        priority=4,
        concurrency_key="k",
        max_attempts_override=2,
        timeout_secs_override=60,
        retry_backoff="fixed",
    )
    assert dead["status"] == "dead_letter"
    again = await replay(api, dead["id"])
    assert (again["triggered_by"], again["replay_of"], again["attempt"]) == ("retry", dead["id"], 1)
    for name in ("payload", "tags", "metadata", "priority", "concurrency_key", "max_attempts_override",
                 "timeout_secs_override", "retry_backoff", "job_version_id"):  # fmt: skip
        assert again[name] == dead[name], name
    shown = await api.run(dead["id"])
    assert shown["replayed_as"] == again["id"]
    assert shown["status"] == "dead_letter", "a dead-lettered run reads so for ever"
    assert shown["dead_letter_left_at"] is not None
    assert shown["last_seq"] == dead["last_seq"], "what happens after the end is not in the log"


async def test_a_completed_run_needs_force(api: Speech):
    done = await api.done(await api.job("echo"), {"a": 1})
    await refused(api.client.post(f"/v1/runs/{done['id']}/replay"), 409, "runs.completed")
    again = await replay(api, done["id"], force=True)
    assert (await api.ended(again["id"]))["result"] == {"a": 1}


async def test_a_run_that_has_not_ended_is_not_replayed(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    await gate.arrived()
    await refused(api.client.post(f"/v1/runs/{run['id']}/replay", json={"force": True}), 409, "runs.not_ended")


async def test_a_cancelled_run_is_replayed_without_force(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("hold"), {"gate": gate.port})
    await gate.arrived()
    await said(api.client.delete(f"/v1/runs/{run['id']}"))
    gate.open()
    assert (await api.ended((await replay(api, run["id"]))["id"]))["status"] == "completed"


async def test_the_payload_is_replaced_or_patched_by_rfc_7396(api: Speech):
    payload = {"keep": 1, "drop": 2, "deep": {"a": 1, "b": [1, 2]}}
    run = await api.done(await api.job("echo"), payload)
    replaced = await replay(api, run["id"], force=True, payload={"other": True})
    assert (await api.ended(replaced["id"]))["result"] == {"other": True}
    patch = {"drop": None, "deep": {"b": [3], "c": {"d": None, "e": 1}}, "new": {"x": None}}
    patched = await replay(api, run["id"], force=True, payload_patch=patch)
    assert (await api.ended(patched["id"]))["result"] == {
        "keep": 1,
        "deep": {"a": 1, "b": [3], "c": {"e": 1}},
        "new": {},
    }
    both = {"force": True, "payload": {}, "payload_patch": {}}
    details = await refused(api.client.post(f"/v1/runs/{run['id']}/replay", json=both), 422, "request.invalid")
    assert details["fields"][0]["path"] == "payload_patch"


async def test_a_replay_takes_the_same_version_of_the_job_or_the_latest(api: Speech):
    job = await api.job("stumble", max_attempts=1)
    run = await api.done(job)
    changed = await said(api.client.patch(f"/v1/jobs/{job}", json={"handler": "echo"}))
    assert (run["job_version"], changed["version"]) == (1, 2)
    same = await replay(api, run["id"])
    latest = await replay(api, run["id"], version="latest")
    assert (same["job_version"], latest["job_version"]) == (1, 2)
    assert same["job_version_id"] == run["job_version_id"] != latest["job_version_id"]
    assert ((await api.ended(same["id"]))["state"], (await api.ended(latest["id"]))["state"]) == ("failed", "completed")


async def test_a_replay_of_a_replay_is_linked_to_the_one_it_repeats(api: Speech):
    run = await api.done(await api.job("echo"))
    first = await replay(api, run["id"], force=True)
    await api.ended(first["id"])
    second = await replay(api, first["id"], force=True)
    assert second["replay_of"] == first["id"]


async def test_a_secret_in_the_payload_reaches_the_replay_exact(api: Speech, tmp_path):
    secret, notes = "sk-" + "x" * 30, tmp_path / "notes"
    run = await api.done(await api.job("confess"), {"password": secret, "file": str(notes)})
    again = await replay(api, run["id"], force=True)
    await api.ended(again["id"])
    assert notes.read_text() == f"{secret}\n{secret}\n"
    assert again["payload"]["password"] == "[redacted:password]"


async def test_a_job_that_was_deleted_or_disabled_is_not_replayed(api: Speech):
    disabled, deleted = await api.job("echo"), await api.job("echo")
    runs = [await api.done(job) for job in (disabled, deleted)]
    await said(api.client.patch(f"/v1/jobs/{disabled}", json={"enabled": False}))
    await said(api.client.delete(f"/v1/jobs/{deleted}"), 204)
    answers = [await api.client.post(f"/v1/runs/{run['id']}/replay", json={"force": True}) for run in runs]
    assert [answer.status_code for answer in answers] == [409, 404], [answer.text for answer in answers]
