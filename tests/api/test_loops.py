"""Remediation loops over HTTP: what starts, what is refused, and what is shown."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.api.served import Served, ok, serving
from tests.engine.repairing import repository
from tests.waiting import until

LOOPS = "/api/v1/loops/omar"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Served]:
    root = tmp_path_factory.mktemp("loops")
    repository(root / "clean", {"app.py": "one = 1\n"})
    async with serving(root / "data", repository_roots=(str(root),), scanners=("none",)) as served:
        key = {"name": "ours", "kind": "openai", "api_key": "sk-test-1234"}
        await ok(served.admin.post("/v1/providers", json=key), 201)
        mine = {"name": "mine", "kind": "openai", "model": "my-own", "provider": "ours"}
        await ok(served.admin.post("/v1/routes", json=mine), 201)
        served.root = root  # type: ignore[attr-defined]
        yield served


def order(server: Served, **more: object) -> dict[str, object]:
    """Return an order over the clean repository."""
    root: Path = server.root  # type: ignore[attr-defined]
    return {"repo": str(root / "clean"), "quality_gates": [{"id": "there", "command": ["test", "-f", "app.py"]}]} | more


async def refused(server: Served, body: dict[str, object], status: int, code: str) -> str:
    answer = await server.admin.post(LOOPS, json=body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code), answer.text
    return answer.text


async def test_a_loop_is_started_once_and_shown_to_its_end(server: Served):
    key = {"Idempotency-Key": "0" * 32}
    made = await ok(server.admin.post(LOOPS, json=order(server), headers=key), 202)
    again = await server.admin.post(LOOPS, json=order(server), headers=key)
    assert (again.status_code, again.json()["loop_id"]) == (200, made["loop_id"] or made["run_id"])
    shown = await ok(server.admin.get(f"{LOOPS}/{made['loop_id']}"))
    while shown["run_state"] not in ("completed", "failed"):
        shown = await ok(server.admin.get(f"{LOOPS}/{made['loop_id']}", params={"wait": 5}))
    assert (shown["state"], shown["exit_reason"], shown["gate_status"]) == ("succeeded", "clean", "green")
    assert shown["exit_detail"]["stop_code"] == "NONE"
    assert shown["findings"]["start"] == {"P0": 0, "P1": 0, "P2": 0, "P3": 0}
    assert [(gate["id"], gate["status"]) for gate in shown["gates"]] == [("there", "green")]
    status = await ok(server.admin.get(f"/api/v1/runs/{made['loop_id']}/status"))
    assert (status["kind"], status["max_iterations"], status["gate_status"]) == ("loop", 8, "passed")
    counted = 'runwright_loops_ended_total{exit_reason="clean"} '  # what is durable is shown before that
    await until(lambda: server.admin.get("/metrics"), lambda page: counted in page.text)
    answer = await server.admin.get(f"/api/v1/runtime/loops/omar/{made['loop_id']}")
    same = await server.admin.get(f"{LOOPS}/{made['loop_id']}", headers={"If-None-Match": answer.headers["etag"]})
    assert same.status_code == 304


async def test_what_people_live_with_is_counted_in_the_answer_and_in_the_evidence(server: Served):
    root: Path = server.root  # type: ignore[attr-defined]
    token = f"token = 'ghp_{'a1B2c3D4e5F6' * 3}'\n"
    hidden = "suppressions: [{path: app.py, reason: 'No token.', owner: ada, expires_at: 2999-01-01}]\n"
    repository(root / "hidden", {"app.py": token, ".runwright/suppressions.yaml": hidden})
    made = await ok(server.admin.post(LOOPS, json=order(server, repo=str(root / "hidden"))), 202)
    shown = await ok(server.admin.get(f"{LOOPS}/{made['loop_id']}"))
    while shown["run_state"] not in ("completed", "failed"):
        shown = await ok(server.admin.get(f"{LOOPS}/{made['loop_id']}", params={"wait": 5}))
    none = {"P0": 0, "P1": 0, "P2": 0, "P3": 0}
    found = shown["findings"]
    assert (shown["exit_reason"], found["current"], found["known"]) == ("clean", none, none)
    assert found["suppressed"]["P0"] == 1
    bundle = await ok(server.admin.get(f"/api/v1/runs/{made['loop_id']}/evidence"))
    counted = (bundle["findings"]["P0"], bundle["findings"]["new"], bundle["findings"]["suppressed"])
    assert counted == (0, 0, sum(found["suppressed"].values()))


async def test_of_a_loop_whose_data_were_erased_no_end_is_made_up(server: Served):
    made = await ok(server.admin.post(LOOPS, json=order(server)), 202)
    path = f"{LOOPS}/{made['loop_id']}"
    while (await ok(server.admin.get(path, params={"wait": 5})))["run_state"] != "completed":
        pass
    await ok(server.admin.post(f"/v1/runs/{made['loop_id']}/erase"))
    shown = await ok(server.admin.get(path))
    assert (shown["state"], shown["run_state"], shown["exit_reason"]) == ("erased", "completed", None)


async def test_what_is_no_loop_is_refused_with_its_own_word(server: Served):
    nothing = {"max_iterations": None, "max_no_progress": None}
    await refused(server, order(server, **nothing), 422, "BUDGET_REQUIRED")
    await refused(server, order(server, mode="audit_readonly"), 403, "MODE_NOT_WRITE_CAPABLE")
    await refused(server, {"repo": order(server)["repo"], "targets": {"severities": []}}, 422, "NO_TARGETS")
    milder = {"targets": {"severities": ["P1", "P3"]}, "clean_through": "P2"}
    assert "P3 is milder than clean_through (P2)" in str(
        await refused(server, order(server, **milder), 422, "VALIDATION")
    )
    unopened = {"deliver": {"actions": ["commit"], "pr": {"title": "Mend it"}}}
    assert "add open_pr" in await refused(server, order(server, **unopened), 422, "VALIDATION")
    await refused(server, {"run_id": "run_" + "0" * 32}, 404, "RUN_NOT_FOUND")
    for policy in ({"network": "allow"}, {"paths": {"deny": ["../up"]}}):
        assert (await server.admin.post(LOOPS, json=order(server, policy=policy))).status_code == 422, policy
    answer = await server.admin.get(f"{LOOPS}/run_{'0' * 32}")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "LOOP_NOT_FOUND")


async def test_k20_a_limit_of_money_with_a_model_of_unknown_price_is_refused_for_loops_too(server: Served):
    body = order(server, models={"orchestrator": "mine"}, budget={"max_cost_usd": 1})
    await refused(server, body, 409, "UNPRICED_MODEL")
