"""Webhooks and secrets as callers meet them: what is shown once, what is never shown, and what each verb answers."""

from collections.abc import AsyncIterator
from pathlib import Path

import msgspec
import pytest
from standardwebhooks import Webhook

from tests.api.accepted import Scene, scene
from tests.api.served import ok, refused
from tests.executors.endpoint import always, answer
from tests.waiting import until


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[Scene]:
    async with scene(tmp_path, outbox_s=0.02, webhook_poll_s=0.02) as made:
        made.endpoint.respond = always(answer(b""))
        yield made


async def test_a_subscription_is_made_tried_told_changed_and_deleted(world: Scene):
    admin = world.server.admin
    body = {"url": f"{world.endpoint.url}/hooks", "description": "of mine"}
    made = await ok(admin.post("/v1/webhooks/subscriptions", json=body), 201)
    assert made["event_types"] == ["run.cancelled", "run.completed", "run.expired", "run.failed"]
    path = f"/v1/webhooks/subscriptions/{made['id']}"
    assert (await ok(admin.get(path)))["signing_secret"] is None, "it was shown once"
    assert [each["id"] for each in await ok(admin.get("/v1/webhooks/subscriptions"))] == [made["id"]]
    ping = await ok(admin.post(f"{path}/ping"), 201)
    told = f"/v1/webhooks/deliveries/{ping['id']}"
    await until(lambda: ok(admin.get(told)), lambda delivery: delivery["status"] == "delivered")
    await ok(admin.post("/v1/jobs", json={"slug": "waits"}), 201)
    run = await ok(admin.post("/v1/jobs/waits/trigger"), 201)
    await ok(admin.delete(f"/v1/runs/{run['id']}"))
    params = {"run_id": run["id"], "subscription_id": made["id"], "event_type": "run.cancelled", "status": "delivered"}
    log = await until(lambda: ok(admin.get("/v1/webhooks/deliveries", params=params)))
    (received,) = [each for each in world.endpoint.received if each.headers["webhook-id"] == log[0]["webhook_id"]]
    said = Webhook(made["signing_secret"]).verify(received.body, received.headers)
    assert (said["type"], said["data"]["status"], said["data"]["run_id"]) == ("run.cancelled", "canceled", run["id"])
    schema = (await ok(admin.get("/v1/schemas/webhooks")))["run.cancelled"]["$defs"]["RunFacts"]
    assert set(said["data"]) == set(schema["properties"]) == set(schema["required"])
    await refused(admin.get("/v1/webhooks/deliveries", params={**params, "job_id": "x"}), 422, "request.invalid")
    changed = await ok(admin.patch(path, json={"enabled": False, "event_types": ["*"]}))
    assert (changed["enabled"], changed["event_types"]) == (False, ["*"])
    rotated = await ok(admin.post(f"{path}/rotate-secret", json={"grace_secs": 60}))
    assert rotated["signing_secret"] != made["signing_secret"]
    await ok(admin.delete(path), 204)
    await refused(admin.get(path), 404, "subscriptions.not_found")
    assert await ok(admin.get("/v1/webhooks/deliveries", params=params)) == log, "the log stays"


async def test_a_job_with_a_webhook_shows_its_secret_once(world: Scene):
    admin = world.server.admin
    body = {"slug": "hooked", "webhook_url": world.endpoint.url}
    made = await ok(admin.post("/v1/jobs", json=body), 201)
    assert made["signing_secret"].startswith("whsec_")
    assert (await ok(admin.get("/v1/jobs/hooked")))["signing_secret"] is None
    run = await ok(admin.post("/v1/jobs/hooked/trigger"), 201)
    await ok(admin.delete(f"/v1/runs/{run['id']}"))
    await until(lambda: world.endpoint.received)
    (received,) = world.endpoint.received
    assert Webhook(made["signing_secret"]).verify(received.body, received.headers)
    assert msgspec.json.decode(received.body)["data"]["job_id"] == made["id"]


async def test_who_may_not_is_refused(world: Scene):
    viewer = await world.server.key("jobs:read", "runs:read")
    for path in ("/v1/webhooks/subscriptions", "/v1/webhooks/deliveries", "/v1/secrets", "/v1/environments"):
        await refused(viewer.get(path), 403, "auth.missing_scope")
    await ok(viewer.get("/v1/schemas/webhooks"))


async def test_environments_and_secrets_are_listed_without_values_and_named_both_ways(world: Scene):
    admin = world.server.admin
    made = await ok(admin.post("/v1/environments", json={"name": "staging", "variables": {"A": "1"}}), 201)
    secret = await ok(
        admin.post("/v1/secrets", json={"name": "KEY", "value": "tangerine", "environment": "staging"}), 201
    )
    assert (secret["version"], secret["environment_id"]) == (1, made["id"])
    for path in (f"/v1/environments/{made['id']}", "/v1/environments/staging"):
        assert await ok(admin.get(path)) == made
    changed = await ok(admin.patch("/v1/environments/staging", json={"variables": {"B": "2"}}))
    assert changed["variables"] == {"B": "2"}
    assert await ok(admin.get("/v1/secrets", params={"environment": "staging"})) == [secret]
    taken = {"name": "KEY", "value": "mandarin", "environment": made["id"]}
    details = await refused(admin.post("/v1/secrets", json=taken), 409, "conflict.already_exists")
    assert details == {"secret_id": secret["id"]}
    assert (await ok(admin.put(f"/v1/secrets/{secret['id']}", json={"value": "mandarin"})))["version"] == 2
    await refused(admin.post("/v1/secrets", json={"name": "KEY", "value": "abc"}), 422, "request.invalid")
    await ok(admin.delete("/v1/environments/staging"), 204)
    await refused(admin.get(f"/v1/secrets/{secret['id']}"), 404, "secrets.not_found")
