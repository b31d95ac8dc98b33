"""The route table as the tests walk it: every endpoint with a path, a query and a body that it takes."""

from typing import Any, NamedTuple

import httpx2
import msgspec

from runwright import ids
from runwright.api.context import ANYONE, PUBLIC
from runwright.api.routing import Endpoint
from runwright.api.surface import TABLES
from tests.acceptance.contract import ContractClient
from tests.acceptance.live_server import LiveServer
from tests.acceptance.speech import Json, Speech, said, unique

ENDPOINTS = [endpoint for table in TABLES for endpoint in table.endpoints]
GUARDED = [endpoint for endpoint in ENDPOINTS if endpoint.scope != PUBLIC]
SCOPED = [endpoint for endpoint in GUARDED if endpoint.scope != ANYONE]
EVENTS = ("send_event", "send_event_by_prefix")
NAMING = [
    endpoint
    for endpoint in GUARDED
    if endpoint.parameters and "queue" not in endpoint.parameters and endpoint.name not in EVENTS
]
"""Those whose path names something. A queue or an event is there once somebody names it, each project its own."""
FINDING = [endpoint for endpoint in NAMING if endpoint.name != "put_job"]
"""Those that find what the path names, or answer 404; PUT makes it."""
WITH_BODY = [endpoint for endpoint in ENDPOINTS if endpoint.method in ("POST", "PUT", "PATCH") and not endpoint.raw]
TAKING = [endpoint for endpoint in WITH_BODY if endpoint.body is not None]
PAGED = [
    endpoint for endpoint in ENDPOINTS if endpoint.query is not None and "cursor" in endpoint.query.__struct_fields__
]


def name(endpoint: Endpoint) -> str:
    """Return what a test of this endpoint is called."""
    return f"{endpoint.method} {endpoint.path}"


class World(NamedTuple):
    """What one organization owns, by the names that paths and queries use."""

    client: ContractClient
    idents: dict[str, str]

    def path(self, endpoint: Endpoint, other: "World | None" = None) -> str:
        """Return the endpoint's path with this world's ids, or with those of the other one."""
        idents = (other or self).idents
        # What is erased is nobody's to read, so that is done to a run of its own.
        run_id = idents.get("erasable" if endpoint.name == "erase_run" else "run_id", "")
        thread_id = idents.get("erasable_thread" if endpoint.name == "erase_thread" else "thread_id", "")
        return endpoint.path.format_map({**idents, "run_id": run_id, "thread_id": thread_id})

    def body(self, endpoint: Endpoint) -> Json | None:
        """Return a body that the endpoint takes, or None if it takes none."""
        if endpoint.body is None:
            return None
        bodies: dict[str, Json] = {
            "create_job": {"slug": unique("made")},
            "update_job": {"description": "changed"},
            "put_job": {"description": "put"},
            "claim_runs": {"worker_id": self.idents["worker_id"], "jobs": ["echo"], "slots": 1, "free": 0},
            "heartbeat": {"worker_id": self.idents["worker_id"]},
            "append_records": {"worker_id": self.idents["worker_id"], "items": []},
            "finish_attempts": {"worker_id": self.idents["worker_id"], "items": []},
            "read_kept": {
                "worker_id": self.idents["worker_id"],
                "run_id": self.idents["run_id"],
                "lease_epoch": 1,
                "kind": "step",
            },
            "leave": {"worker_id": self.idents["worker_id"]},
            "trigger": {"payload": {"a": 1}},
            "trigger_bulk": {"items": [{"payload": {"a": 1}}]},
            "replay_run": {"force": True},
            "cancel_run_idempotent": {"reason": "why not"},
            "cancel_runtime_run": {"reason": "why not"},
            "create_runtime_run": {"objective": "look at it"},
            "deliver_runs": {"run_ids": [self.idents["run_id"]]},
            "deliver_run": {"dry_run": True},
            "start_omar_loop": {"repo": f"https://example.com/{unique('repo')}.git"},
            "decide_approval": {"checkpoint_id": "apr_none", "decision": "deny", "subject_sha256": "0" * 64},
            "bulk_cancel": {"run_ids": []},
            "bulk_cancel_all": {"dry_run": True},
            "bulk_replay": {"run_ids": [self.idents["run_id"]], "force": True},
            "bulk_dlq_replay": {"project_id": self.idents["project_id"]},
            "reschedule_run": {"scheduled_at": "2026-01-01T00:00:00Z"},
            "debug_run": {"debug_mode": True},
            "create_organization": {"slug": unique("org")},
            "update_organization": {"name": "Renamed"},
            "create_project": {"slug": unique("proj")},
            "update_project": {"name": "Renamed"},
            "create_user": {"name": unique("user")},
            "update_user": {"name": unique("user")},
            "create_member": {
                "user_id": self.idents["user_id"],
                "role": "viewer",
                "project_id": self.idents["project"],
            },
            "update_member": {"role": "operator"},
            "create_ticket": {"path": "/v1/runs"},
            "write_log": {"message": "a line"},
            "report_progress": {"percent": 1},
            "annotate_run": {"annotations": {"a": "b"}},
            "save_checkpoint": {"state": {"a": 1}},
            "save_output": {"key": "a", "value": 1},
            "report_usage": {"provider": "p", "model": "m"},
            "report_tool_call": {"tool_name": "t"},
            "report_iteration": {"iteration": 1},
            "report_resources": {"cpu_percent": 1},
            "wait_for_event": {"event_key": "a"},
            "spawn_run": {"job_slug": self.idents["job"]},
            "continue_run": {"payload": {"a": 1}},
            "send_event": {"payload": {"a": 1}},
            "send_event_by_prefix": {"payload": {"a": 1}},
            "write_stream": {"chunk": "c"},
            "set_state": {"key": "a", "value": 1},
            "set_memory": {"key": "a", "value": 1},
            "complete_run": {"result": {"a": 1}},
            "fail_run": {"error": "x"},
            "restart_run": {"preset": "micro"},
            "create_key": {"name": "a key", "scopes": ["runs:read"]},
            "rotate_key": {"grace_s": 60},
            "rotate_job_secret": {"grace_secs": 60},
            "create_dependency": {"depends_on_job_id": self.idents["awaited"], "condition": "any"},
            "update_dependency": {"on_miss": "wait"},
            "create_environment": {"name": unique("env")},
            "update_environment": {"description": "changed"},
            "create_secret": {"name": "A_SECRET", "value": unique("hidden")},
            "replace_secret": {"value": unique("hidden")},
            "create_thread": {"title": "made"},
            "update_thread": {"title": "changed"},
            "add_message": {"content": "hello"},
            "start_run": {"on_busy": "enqueue"},
            "retry_thread": {},
            "send_input": {"content": "yes"},
            "create_persona": {"key": unique("persona")},
            "create_route": {"name": unique("route"), "kind": "local", "model": "m"},
            "update_route": {"model": "n"},
            "create_provider": {"name": unique("prov"), "kind": "openai", "api_key": unique("hidden")},
            "set_budget": {"limit_microusd": 1_000_000},
            "replace_provider_key": {"api_key": unique("hidden")},
            "clone_job": {"slug": unique("clone")},
            "create_workflow": {"slug": unique("flow"), "steps": [{"key": "a", "job": self.idents["job"]}]},
            "update_workflow": {"description": "changed"},
            "trigger_workflow": {"payload": {"a": 1}},
            "create_subscription": {"url": "https://example.com/hooks"},
            "update_subscription": {"description": "changed"},
            "rotate_subscription_secret": {"grace_secs": 60},
        }
        return bodies[endpoint.name]

    async def ask(
        self, endpoint: Endpoint, client: ContractClient | None = None, *, path: str | None = None, **options: Any
    ) -> httpx2.Response:
        """Send a request that the endpoint takes, changed by the options."""
        if "json" not in options and "content" not in options and self.body(endpoint) is not None:
            options["json"] = self.body(endpoint)
        return await (client or self.client).request(endpoint.method, path or self.path(endpoint), **options)


async def found_world(server: LiveServer, admin: ContractClient, token: str | None) -> World:
    """Make one of everything in an organization: the first one (no token), or that of the token."""
    client = admin if token is None else server.client(token)
    api = Speech(client)
    project = await api.project()
    job = await said(client.post("/v1/jobs", json={"slug": unique("echo"), "handler": "echo"}), 201)
    run, erasable = [await api.done(job["id"], {"a": 1}) for _ in range(2)]
    awaited = [await api.job("echo") for _ in range(2)]
    for each in awaited:
        await api.done(each)  # so that the job's runs go on as if there were no dependencies
    terms = {"depends_on_job_id": awaited[0], "condition": "any"}
    dependency = await said(client.post(f"/v1/jobs/{job['id']}/dependencies", json=terms), 201)
    workflow = await api.flow([{"key": "a", "job": job["id"]}])
    user = await said(client.post("/v1/users", json={"name": unique("ann")}), 201)
    other = await said(client.post("/v1/users", json={"name": unique("bob")}), 201)
    member = await said(client.post("/v1/members", json={"user_id": other["id"], "role": "viewer"}), 201)
    key = await api.key("runs:read")
    worker_id = ids.new_id("wrk", 1)
    claim = {"worker_id": worker_id, "jobs": ["nobody-asks"], "slots": 1, "free": 0}
    await said(client.post("/v1/worker/claim", json=claim))
    me = await said(client.get("/v1/me"))
    subscription = await said(client.post("/v1/webhooks/subscriptions", json={"url": "https://example.com/"}), 201)
    delivery = await said(client.post(f"/v1/webhooks/subscriptions/{subscription['id']}/ping"), 201)
    environment = await said(client.post("/v1/environments", json={"name": unique("env")}), 201)
    secret = await said(client.post("/v1/secrets", json={"name": "KEY", "value": unique("hidden")}), 201)
    artifact = await said(client.post("/v1/artifacts", content=unique("bytes").encode()), 201)
    batch = await client.post("/v1/runs/bulk-cancel", json={})
    threads = [await said(client.post("/v1/threads", json={}), 201) for _ in range(3)]
    await said(client.put(f"/v1/budgets/{threads[2]['id']}", json={"limit_microusd": 1_000_000}))
    persona = await said(client.post("/v1/personas", json={"key": unique("persona")}), 201)
    route = {"name": unique("route"), "kind": "local", "model": "m"}
    provider = {"name": unique("prov"), "kind": "openai", "api_key": unique("hidden")}
    loop = {"repo": f"https://example.com/{unique('repo')}.git", "queue": unique("quiet")}
    idents = {
        "loop_id": (await said(client.post("/api/v1/loops/omar", json=loop), 202))["loop_id"],
        "thread_id": threads[0]["id"],
        "erasable_thread": threads[1]["id"],
        "scope": threads[2]["id"],
        "persona": persona["persona_id"],
        "route": (await said(client.post("/v1/routes", json=route), 201))["id"],
        "provider": (await said(client.post("/v1/providers", json=provider), 201))["id"],
        "batch_id": batch.headers["x-batch-id"],
        "project": project,
        "project_id": project,
        "job": job["id"],
        "job_version_id": job["job_version_id"],
        "run_id": run["id"],
        "artifact_id": f"{run['id']}.payload",
        "erasable": erasable["id"],
        "user_id": user["id"],
        "key_id": key["id"],
        "key": "a",
        "digest": artifact["digest"],
        "member_id": member["id"],
        "worker_id": worker_id,
        "subscription_id": subscription["id"],
        "environment": environment["id"],
        "secret_id": secret["id"],
        "delivery_id": delivery["id"],
        "dependency_id": dependency["id"],
        "workflow": workflow["id"],
        "awaited": awaited[1],
        "queue": unique("queue"),
        "prefix": unique("prefix"),
        "organization": me["organization"]["id"],
    }
    return World(client, idents)


def field_names(kind: type[msgspec.Struct] | None) -> tuple[str, ...]:
    """Return the fields of a query or a body."""
    return () if kind is None else kind.__struct_fields__
