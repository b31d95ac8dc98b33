"""Cancel, pause, resume: a run reads cancelled when its executor stopped or was fenced off, and its children follow."""

import asyncio
from pathlib import Path

import pytest

from tests.acceptance.gate import Gate
from tests.acceptance.handlers import lines
from tests.acceptance.speech import Json, Speech, later, refused, said

pytestmark = pytest.mark.xdist_group("acceptance-jobs")


async def holding(api: Speech, gate: Gate, handler: str = "hold", **fields: object) -> Json:
    """Start a run and wait until it stands at the gate."""
    run = await api.trigger(await api.job(handler), {"gate": gate.port, **fields})
    await gate.arrived()
    return run


async def last_event(api: Speech, run_id: str) -> Json:
    return (await api.events(run_id))[-1]


async def test_an_executing_run_is_cancelled_once_its_handler_has_stopped(api: Speech, gate: Gate):
    run = await holding(api, gate)
    cancelled = await said(api.client.delete(f"/v1/runs/{run['id']}"))
    assert (cancelled["status"], cancelled["state"], cancelled["reason"]) == ("canceled", "cancelled", "user")
    assert cancelled["cancel_requested_at"] is not None
    types = [event["type"] for event in await api.events(run["id"])]
    assert types == ["run.created", "run.started", "run.cancel_requested", "run.cancelled"]
    assert (await last_event(api, run["id"]))["data"]["confirmed"] is True
    await gate.left()


async def test_a_run_that_is_not_executing_is_cancelled_at_once(api: Speech, gate: Gate):
    first = await holding(api, gate)
    now = first["created_at"]
    hold = await api.job("hold", max_concurrency=1)
    await api.trigger(hold, {"gate": gate.port})
    runs = {
        "queued": await api.trigger(hold, {"gate": gate.port}),
        "delayed": await api.trigger(hold, {"gate": gate.port}, scheduled_at=later(now, hours=1)),
        "waiting": await api.trigger(await api.job("nap"), {"secs": 3600}),
    }
    await api.until(runs["waiting"]["id"], "run.waiting")
    for word, run in runs.items():
        assert (await api.run(run["id"]))["status"] == word
        assert (await said(api.client.delete(f"/v1/runs/{run['id']}")))["status"] == "canceled"
        assert (await last_event(api, run["id"]))["data"].get("confirmed") is None


async def test_delete_of_an_ended_run_is_409_and_cancel_of_a_cancelled_one_is_not(api: Speech, gate: Gate):
    done = await api.done(await api.job("echo"))
    run = await holding(api, gate)
    cancel = f"/v1/runs/{run['id']}:cancel"
    assert await said(api.client.post(cancel, json={"reason": "no longer needed"})) == {"ok": True}
    assert await said(api.client.post(cancel)) == {"ok": True}
    asked = [event for event in await api.events(run["id"]) if event["type"] == "run.cancel_requested"]
    assert [event["data"]["note"] for event in asked] == ["no longer needed"]
    for run_id in (done["id"], run["id"]):
        await refused(api.client.delete(f"/v1/runs/{run_id}"), 409, "runs.invalid_transition")
    await refused(api.client.post(f"/v1/runs/{done['id']}:cancel"), 409, "runs.invalid_transition")
    before = await api.events(done["id"])
    assert await api.events(done["id"]) == before
    assert before[-1]["type"] == "run.completed", "the terminal event is the last"


async def test_many_cancels_at_once_are_one(api: Speech, gate: Gate):
    run = await holding(api, gate)
    answers = await asyncio.gather(*(api.client.post(f"/v1/runs/{run['id']}:cancel") for _ in range(20)))
    assert {answer.status_code for answer in answers} == {200}
    types = [event["type"] for event in await api.events(run["id"])]
    assert types.count("run.cancel_requested") == types.count("run.cancelled") == 1


async def test_a_handler_that_hears_nothing_is_fenced_off_and_its_late_words_are_not_kept(
    api: Speech, gate: Gate, notes: Path
):
    run = await holding(api, gate, "deaf", file=str(notes))
    cancelled = await said(api.client.delete(f"/v1/runs/{run['id']}"))
    assert cancelled["status"] == "canceled", "the grace of these tests is shorter than the patience of the request"
    assert (await last_event(api, run["id"]))["data"]["confirmed"] is False
    before = await api.events(run["id"])
    gate.open()
    await gate.left()
    await api.done(await api.job("echo"))
    assert await api.events(run["id"]) == before


async def test_a_paused_run_holds_nothing_and_goes_on_with_what_it_has(api: Speech, gate: Gate):
    run = await api.trigger(await api.job("stages"), {"stages": 2, "gate": gate.port})
    await gate.arrived(word="stage 0")
    gate.open("stage 0")
    await gate.arrived(word="stage 1")
    paused = await api.verb(run["id"], "pause")
    assert (paused["status"], paused["reason"], paused["heartbeat_at"]) == ("paused", "operator", None)
    assert await api.verb(run["id"], "pause") == paused, "pausing what is paused changes nothing"
    await gate.left()
    gate.open()
    resumed = await api.verb(run["id"], "resume")
    assert resumed["state"] in ("queued", "executing", "completed")
    ended = await api.ended(run["id"])
    assert (ended["result"], ended["attempt"], ended["lease_epoch"]) == ({"value": [0, 1]}, 1, 2)
    events = await api.events(run["id"])
    steps = [(each["data"]["name"], each["data"]["reused"]) for each in events if each["type"] == "step.completed"]
    assert steps == [("stage 0", False), ("stage 1", False), ("stage 0", True), ("stage 1", True)]
    assert {"run.pause_requested", "run.paused", "run.resumed"} <= {event["type"] for event in events}


async def test_a_pause_while_it_waits_or_is_delayed_remembers_where_to_go_on(api: Speech):
    now = (await api.trigger(await api.job("echo")))["created_at"]
    delayed = await api.trigger(await api.job("echo"), scheduled_at=later(now, hours=1))
    assert (await api.verb(delayed["id"], "pause"))["status"] == "paused"
    again = await api.verb(delayed["id"], "resume")
    assert (again["status"], again["scheduled_at"]) == ("delayed", delayed["scheduled_at"])
    napping = await api.trigger(await api.job("nap"), {"secs": 3600})
    await api.until(napping["id"], "run.waiting")
    assert (await api.verb(napping["id"], "pause"))["status"] == "paused"
    assert (await api.verb(napping["id"], "resume"))["status"] == "waiting"
    for run in (delayed, napping):
        await said(api.client.delete(f"/v1/runs/{run['id']}"))


async def test_what_came_due_during_a_pause_takes_effect_at_the_resume(api: Speech):
    run = await api.trigger(await api.job("nap"), {"secs": 0.2})
    await api.until(run["id"], "run.waiting")
    paused = await api.verb(run["id"], "pause")
    if paused["status"] == "paused":
        other = await api.done(await api.job("nap"), {"secs": 0.3})
        assert (other["status"], (await api.run(run["id"]))["status"]) == ("completed", "paused")
        await api.verb(run["id"], "resume")
    assert (await api.ended(run["id"]))["status"] == "completed"


async def test_a_paused_run_can_be_cancelled_and_an_ended_one_not_paused_or_resumed(api: Speech, gate: Gate):
    run = await holding(api, gate)
    await api.verb(run["id"], "pause")
    assert (await said(api.client.delete(f"/v1/runs/{run['id']}")))["status"] == "canceled"
    for verb in ("pause", "resume"):
        await refused(api.client.post(f"/v1/runs/{run['id']}/{verb}"), 409, "runs.invalid_transition")


async def test_resume_of_a_run_that_is_not_paused_changes_nothing(api: Speech, gate: Gate):
    run = await holding(api, gate)
    before = await api.run(run["id"])
    after = await api.verb(run["id"], "resume")
    assert (after["status"], after["last_seq"]) == ("executing", before["last_seq"])


async def test_appendix_c_13_the_late_answer_of_a_restarted_attempt_is_rejected_and_there_is_one_completion(
    api: Speech, gate: Gate, notes: Path
):
    run = await holding(api, gate, "deaf", file=str(notes))
    restarted = await api.verb(run["id"], "restart")
    assert restarted["state"] in ("queued", "executing"), "fenced off, for it hears nothing"
    await gate.arrived(2)
    gate.open()
    ended = await api.ended(run["id"])
    assert (ended["status"], ended["attempt"], ended["lease_epoch"]) == ("completed", 2, 2)
    events = await api.events(run["id"])
    types = [event["type"] for event in events]
    counted = {name: types.count(name) for name in ("run.restart_requested", "run.started", "log", "run.completed")}
    assert counted == {"run.restart_requested": 1, "run.started": 2, "log": 1, "run.completed": 1}
    assert [event["data"] for event in events if event["type"] == "run.queued"] == [
        {"reason": "restart", "confirmed": False}
    ]


async def test_a_restart_begins_again_from_executing_paused_and_waiting_and_counts_for_nothing(api: Speech, gate: Gate):
    run = await holding(api, gate)
    await api.verb(run["id"], "restart")
    await api.until(run["id"], "run.started", count=2)
    await gate.arrived()
    assert (await api.verb(run["id"], "pause"))["status"] == "paused"
    await api.verb(run["id"], "restart")
    await api.until(run["id"], "run.started", count=3)
    await gate.arrived()
    gate.open()
    ended = await api.ended(run["id"])
    assert (ended["status"], ended["result"]) == ("completed", {"attempt": 3, "lease_epoch": 3})
    attempts = await said(api.client.get(f"/v1/runs/{run['id']}/attempts"))
    assert [(each["attempt"], each["outcome"]) for each in attempts] == [
        (1, "restarted"),
        (2, "paused"),
        (3, "completed"),
    ]
    napping = await api.trigger(await api.job("nap"), {"secs": 3600})
    await api.until(napping["id"], "run.waiting")
    assert (await api.verb(napping["id"], "restart"))["state"] in ("queued", "executing", "waiting")
    await api.until(napping["id"], "run.waiting", count=2)
    assert (await api.run(napping["id"]))["attempt"] == 2
    await said(api.client.delete(f"/v1/runs/{napping['id']}"))


async def test_a_restart_of_other_runs_is_409_and_a_preset_is_for_process_runs(api: Speech, gate: Gate):
    done = await api.done(await api.job("echo"))
    await refused(api.client.post(f"/v1/runs/{done['id']}/restart"), 409, "runs.invalid_transition")
    run = await holding(api, gate)
    for body in ({"preset": "small-1x"}, {"preset": "huge"}, {"preset": "micro", "machine_preset": "small-1x"}):
        await refused(api.client.post(f"/v1/runs/{run['id']}/restart", json=body), 422, "request.invalid")
    assert "run.restart_requested" not in [event["type"] for event in await api.events(run["id"])]


async def test_the_children_of_a_cancelled_run_follow(api: Speech, gate: Gate):
    job = await api.job("hold")
    parent = await api.trigger(job, {"gate": gate.port})
    child = await api.trigger(job, {"gate": gate.port}, parent_run_id=parent["id"])
    grandchild = await api.trigger(job, {"gate": gate.port}, parent_run_id=child["id"])
    stranger = await api.trigger(job, {"gate": gate.port})
    finished = await api.done(await api.job("echo"), parent_run_id=parent["id"])
    await gate.arrived(4)
    await said(api.client.delete(f"/v1/runs/{parent['id']}"))
    for run in (child, grandchild):
        ended = await api.ended(run["id"])
        assert (ended["status"], ended["reason"]) == ("canceled", "parent")
    assert (await api.run(finished["id"]))["status"] == "completed"
    assert (await api.run(stranger["id"]))["status"] == "executing"


async def test_an_ended_run_has_no_more_children(api: Speech):
    job = await api.job("echo")
    parent = await api.done(job)
    for path, body in (("trigger", {"parent_run_id": parent["id"]}),):
        details = await refused(api.client.post(f"/v1/jobs/{job}/{path}", json=body), 422, "request.invalid")
        assert details["fields"][0]["path"] == "parent_run_id"


async def test_a_run_that_completes_while_it_is_asked_to_stop_is_completed(api: Speech, gate: Gate, notes: Path):
    """A `completed` under a valid lease wins over a stop that was asked for."""
    run = await holding(api, gate, "deaf", file=str(notes))
    asked = asyncio.create_task(api.client.delete(f"/v1/runs/{run['id']}"))
    await api.until(run["id"], "run.cancel_requested")
    gate.open()
    answer = await asked
    assert answer.status_code == 200
    ended = await api.ended(run["id"])
    # The thread's next call of the context is refused: it either got to its end or was stopped there, never both.
    assert ended["state"] in ("completed", "cancelled")
    assert len([event for event in await api.events(run["id"]) if event["type"].startswith("run.c")]) == 3
    assert [words[0] for words in lines(notes)] == ["woke"]
