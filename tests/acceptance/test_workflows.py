"""Workflows over the API: a diamond under each policy, stops, replays, and what is refused."""

import pytest

from tests.acceptance.gate import Gate
from tests.acceptance.speech import Json, Speech, refused, said, unique

pytestmark = pytest.mark.xdist_group("acceptance-jobs")

DONE = "completed"


async def diamond(api: Speech, project: str, on_failure: str = "fail") -> Json:
    """Make a workflow of four steps, whose left one fails for good if its payload says so."""
    echo, stumble = await api.job("echo", project_id=project), await api.job("stumble", project_id=project)
    left = {"how": "rejected", "times": "{{payload.times}}"}
    template = {"left": "{{steps.left.result}}", "right": "{{steps.right.result.n}}"}
    steps: list[Json] = [
        {"key": "top", "job": echo, "payload_template": {"n": "{{payload.n}}"}},
        {"key": "left", "job": stumble, "depends_on": ["top"], "payload_template": left, "on_failure": on_failure},
        {"key": "right", "job": echo, "depends_on": ["top"], "payload_template": {"n": "{{steps.top.result.n}}"}},
        {"key": "bottom", "job": echo, "depends_on": ["left", "right"], "payload_template": template},
    ]
    steps[1]["max_attempts"] = 1
    return await api.flow(steps, project_id=project)


@pytest.mark.parametrize(
    ("on_failure", "bottom", "status"),
    [
        ("fail", "skipped", "failed"),
        ("skip_dependents", "skipped", DONE),
        ("continue", DONE, DONE),
    ],
)
async def test_06_a_diamond_with_one_failure_and_exactly_its_steps_are_listed(
    api: Speech, on_failure: str, bottom: str, status: str
):
    project = await api.project()
    flow = await diamond(api, project, on_failure)
    await api.done(await api.job("echo", project_id=project))
    run = await api.launch(flow["id"], {"n": 7, "times": 1})
    assert (run["kind"], run["status"], run["workflow_id"]) == ("workflow", "waiting", flow["id"])
    ended = await api.ended(run["id"])
    assert (ended["status"], ended["workflow_version"]) == (status, 1)
    steps = await api.steps(run["id"])
    wanted = {"top": "completed", "left": "failed", "right": "completed", "bottom": bottom}
    assert {key: step["status"] for key, step in steps.items()} == wanted
    made = {step["run_id"] for step in steps.values()} - {None}
    listed = await api.listed("/v1/runs", project_id=project, triggered_by="workflow")
    assert {each["id"] for each in listed} == made
    by_key = {key: step["id"] for key, step in steps.items() if step["run_id"] is not None}
    assert {each["workflow_step_run_id"] for each in listed} == set(by_key.values())
    assert {each["parent_run_id"] for each in listed} == {run["id"]}
    children = await api.listed(f"/v1/runs/{run['id']}/children")
    assert {each["id"] for each in children} == made
    if bottom == "completed":
        assert (await api.run(steps["bottom"]["run_id"]))["payload"] == {"left": None, "right": 7}
        assert ended["result"] == {"steps": wanted}
    (flown,) = await api.runs(project_id=project, kind="workflow")
    assert flown["id"] == run["id"]
    why = await said(api.client.get(f"/v1/runs/{run['id']}/why"))
    assert why["code"] == "ended"


async def test_a_workflow_is_made_changed_listed_and_deleted(api: Speech):
    project = await api.project()
    flow = await diamond(api, project)
    again: Json = await said(api.client.get(f"/v1/workflows/{flow['slug']}", params={"project_id": project}))
    assert again == flow
    assert [step["key"] for step in flow["steps"]] == ["top", "left", "right", "bottom"]
    path = f"/v1/workflows/{flow['id']}"
    changed = await said(api.client.patch(path, json={"timeout_secs": 60, "description": "nightly"}))
    assert (changed["version"], changed["timeout_secs"], changed["steps"]) == (2, 60, flow["steps"])
    versions = await api.listed(f"{path}/versions", limit=1)
    assert [each["version"] for each in versions] == [1, 2]
    other = await diamond(api, project)
    found = await api.listed("/v1/workflows", project_id=project, limit=1)
    assert [each["id"] for each in found] == [other["id"], flow["id"]]
    await refused(api.client.patch(path, json={"slug": other["slug"]}), 409, "conflict.already_exists")
    await said(api.client.delete(path), 204)
    await refused(api.client.get(path), 404, "workflows.not_found")
    await refused(api.client.post(f"{path}/trigger"), 404, "workflows.not_found")
    assert [each["id"] for each in await api.listed("/v1/workflows", project_id=project)] == [other["id"]]


async def test_what_is_no_workflow_is_refused_and_says_where(api: Speech):
    job = await api.job("echo")
    wrong: list[tuple[list[Json], str]] = [
        ([], "steps"),
        ([{"key": "a", "job": "nothing-here"}], "steps[0].job"),
        ([{"key": "a", "job": job, "depends_on": ["b"]}], "steps[0].depends_on"),
        ([{"key": "a", "job": job, "depends_on": ["b"]}, {"key": "b", "job": job, "depends_on": ["a"]}], "steps"),
        ([{"key": "a", "job": job, "payload_template": {"x": "{{steps.b.result}}"}}], "steps[0].payload_template"),
        ([{"key": "a", "job": job, "on_failure": "ignore"}], "steps[0].on_failure"),
        ([{"key": "a", "job": job, "sleep": 3}], "steps[0].sleep"),
        ([{"key": f"s{n}", "job": job} for n in range(101)], "steps"),
    ]
    for steps, where in wrong:
        body = {"slug": unique("flow"), "steps": steps}
        details = await refused(api.client.post("/v1/workflows", json=body), 422, "request.invalid")
        assert where in [field["path"] for field in details["fields"]], where


async def test_a_key_starts_a_workflow_once_and_a_disabled_one_starts_nothing(api: Speech):
    flow = await diamond(api, await api.project())
    path = f"/v1/workflows/{flow['id']}/trigger"
    first = await said(api.client.post(path, json={"idempotency_key": "k"}), 201)
    again = await said(api.client.post(path, headers={"Idempotency-Key": "k"}), 200)
    assert (again["id"], again["idempotency_hit"]) == (first["id"], True)
    await refused(
        api.client.post(path, json={"idempotency_key": "k", "payload": {"n": 1}}), 409, "idempotency.mismatch"
    )
    await said(api.client.patch(f"/v1/workflows/{flow['id']}", json={"enabled": False}))
    await refused(api.client.post(path), 409, "workflows.disabled")


async def test_a_replay_from_what_failed_does_the_rest_again(api: Speech):
    flow = await diamond(api, await api.project())
    ended = await api.ended((await api.launch(flow["id"], {"n": 1, "times": 1}))["id"])
    path = f"/v1/runs/{ended['id']}/replay"
    body = {"from_failed": True, "payload": {}}
    await refused(api.client.post(path, json=body), 422, "request.invalid")
    again = await said(api.client.post(path, json={"from_failed": True}), 201)
    assert (again["replay_of"], again["triggered_by"], again["kind"]) == (ended["id"], "retry", "workflow")
    await api.ended(again["id"])
    former, steps = await api.steps(ended["id"]), await api.steps(again["id"])
    assert {key: step["reused"] for key, step in steps.items()} == {
        "top": True,
        "left": False,
        "right": True,
        "bottom": False,
    }
    assert steps["top"]["run_id"] == former["top"]["run_id"]
    assert steps["left"]["run_id"] != former["left"]["run_id"]
    whole = await said(api.client.post(path, json={"payload_patch": {"times": 0}}), 201)
    assert (await api.ended(whole["id"]))["status"] == "completed"
    assert (await api.steps(whole["id"]))["top"]["reused"] is False


async def test_a_pause_and_a_cancel_reach_the_steps(api: Speech, gate: Gate):
    job = await api.job("hold")
    after = await api.job("echo")
    template = {"gate": "{{payload.gate}}"}
    steps: list[Json] = [
        {"key": "a", "job": job, "payload_template": template},
        {"key": "b", "job": after, "depends_on": ["a"]},
    ]
    flow = await api.flow(steps)
    run = await api.launch(flow["id"], {"gate": gate.port})
    await gate.arrived()
    await api.verb(run["id"], "pause")
    step = (await api.steps(run["id"]))["a"]["run_id"]
    await api.until(step, "run.paused")
    assert (await api.run(step))["reason"] == "parent"
    await api.verb(run["id"], "resume")
    await gate.arrived()
    await refused(api.client.post(f"/v1/runs/{run['id']}/restart"), 409, "runs.invalid_transition")
    await said(api.client.delete(f"/v1/runs/{run['id']}"))
    assert (await api.ended(step))["status"] == "canceled"
    assert (await api.steps(run["id"]))["b"]["status"] == "skipped"
    gate.open()


async def test_the_steps_of_what_is_no_workflow_are_not_there(api: Speech):
    run = await api.done(await api.job("echo"))
    await refused(api.client.get(f"/v1/workflow-runs/{run['id']}/steps"), 404, "runs.not_found")
    await refused(api.client.post(f"/v1/runs/{run['id']}/replay", json={"force": True, "from_failed": True}), 422,
                  "request.invalid")  # fmt: skip
