"""What a generated request is about: things of its operation's own, by the names that paths, queries and bodies use."""

from typing import Any

from runwright import ids
from runwright.api.routing import Endpoint
from tests.acceptance.contract import ContractClient
from tests.acceptance.speech import Json, Speech, said, unique

HELD = ("/sdk/v1/", "/v1/worker/")
"""Paths whose runs are executing: a worker that speaks by hand holds their lease."""
STOPPING = ("cancel_run", "cancel_run_idempotent", "cancel_runtime_run", "pause_run", "resume_run", "restart_run")
"""Operations besides those that want a run under way."""
ENDING = (
    "complete_run",
    "fail_run",
    "wait_for_event",
    "spawn_run",
    "finish_attempts",
    "delete_job",
    "delete_subscription",
    "delete_dependency",
    "delete_workflow",
    "delete_environment",
    "delete_secret",
    "delete_thread",
    "erase_thread",
    "delete_route",
    "delete_provider",
    "remove_budget",
    "revoke_key",
    "remove_member",
    "erase_run",
    "leave",
)
"""Operations that leave nothing to be tried on: what they were tried on is made again."""


class Stage:
    """The ids that exist, by the names of path parameters, query parameters and fields."""

    def __init__(self, client: ContractClient, endpoint: Endpoint) -> None:
        self.idents: Json = {}
        self.run_token = ""
        self._client = client
        self._api = Speech(client)
        self._endpoint = endpoint
        self._held = endpoint.path.startswith(HELD) or endpoint.name in STOPPING

    async def make(self) -> None:
        """Make a project, a job, a run, and the rest of what the operation names."""
        project = await self._api.project()
        job = await self._api.job("echo", project_id=project)
        self.idents = {"project": project, "project_id": project, "job": job, "job_id": job}
        self.idents |= await self._leased(project) if self._held else {"run_id": (await self._api.done(job))["id"]}
        self.idents["artifact_id"] = f"{self.idents['run_id']}.payload"
        me = await said(self._client.get("/v1/me"))
        user = await said(self._client.post("/v1/users", json={"name": unique("user")}), 201)
        self.idents |= {"organization": me["organization"]["id"], "org_id": me["organization"]["id"]}
        # A queue that nothing else of a test waits for; and a claim that does not wait, or the campaign would.
        self.idents |= {"user_id": user["id"], "queue": "quiet", "key": "a", "prefix": "a", "wait_secs": 0}
        for name in self._endpoint.parameters:
            if name not in self.idents:
                self.idents |= await self._of(name)

    async def _of(self, name: str) -> Json:
        if name == "key_id":
            return {name: (await self._api.key("runs:read"))["id"]}
        if name == "member_id":
            body = {"user_id": self.idents["user_id"], "role": "viewer"}
            return {name: (await said(self._client.post("/v1/members", json=body), 201))["id"]}
        if name == "environment":
            body = {"name": unique("env"), "project_id": self.idents["project"]}
            return {name: (await said(self._client.post("/v1/environments", json=body), 201))["id"]}
        if name == "thread_id":
            body = {"project_id": self.idents["project"]}
            return {name: (await said(self._client.post("/v1/threads", json=body), 201))["id"]}
        if name == "scope":
            thread = (await self._of("thread_id"))["thread_id"]
            await said(self._client.put(f"/v1/budgets/{thread}", json={"limit_microusd": 1_000_000}))
            return {name: thread}
        if name in ("persona", "route", "provider", "loop_id"):
            return await self._agent(name)
        if name == "secret_id":
            body = {"name": "KEY", "value": unique("hidden"), "project_id": self.idents["project"]}
            return {name: (await said(self._client.post("/v1/secrets", json=body), 201))["id"]}
        if name in ("subscription_id", "delivery_id"):
            body = {"url": "https://example.com/", "project_id": self.idents["project"], "enabled": False}
            made = await said(self._client.post("/v1/webhooks/subscriptions", json=body), 201)
            pinged = await said(self._client.post(f"/v1/webhooks/subscriptions/{made['id']}/ping"), 201)
            return {"subscription_id": made["id"], "delivery_id": pinged["id"]}
        if name == "job_version_id":
            job = await said(self._client.get(f"/v1/jobs/{self.idents['job']}"))
            return {name: job["job_version_id"]}
        if name == "dependency_id":
            other = await self._api.job("echo", project_id=self.idents["project"])
            body = {"depends_on_job_id": other}
            path = f"/v1/jobs/{self.idents['job']}/dependencies"
            return {name: (await said(self._client.post(path, json=body), 201))["id"]}
        if name == "workflow":
            steps = [{"key": "a", "job": self.idents["job"]}]
            return {name: (await self._api.flow(steps, project_id=self.idents["project"]))["id"]}
        if name == "digest":
            uploaded = await self._client.post("/v1/artifacts", content=b"some bytes")
            return {name: uploaded.json()["digest"]}
        if name == "batch_id":
            answer = await self._client.post("/v1/runs/bulk-cancel", json={})
            return {name: answer.headers["x-batch-id"]}
        if name == "worker_id":
            return await self._leased(self.idents["project"])
        raise LookupError(f"nothing is known to make for {{{name}}}")

    async def _agent(self, name: str) -> Json:
        """Make what agent runs are made with, or a loop."""
        bodies: dict[str, Json] = {
            "persona": {"key": unique("persona")},
            "route": {"name": unique("route"), "kind": "local", "model": "m"},
            "provider": {"name": unique("prov"), "kind": "openai", "api_key": unique("hidden")},
        }
        if name == "loop_id":
            order = {"repo": f"https://example.com/{unique('repo')}.git", "project_id": self.idents["project"]}
            return {name: (await said(self._client.post("/api/v1/loops/omar", json=order), 202))[name]}
        body = {**bodies[name], "project_id": self.idents["project"]}
        made = await said(self._client.post(f"/v1/{name}s", json=body), 201)
        return {name: made["persona_id" if name == "persona" else "id"]}

    async def _leased(self, project: str) -> Json:
        """Start a run, and claim it as a worker that nobody runs."""
        queue = unique("hand")
        job = await self._api.job("by-hand", queue=queue, project_id=project)
        await self._api.trigger(job)
        claim = {"worker_id": ids.new_id("wrk", 1), "jobs": ["by-hand"], "queues": [queue], "slots": 1, "free": 1}
        answer = await said(self._client.post("/v1/worker/claim", json=claim))
        (given,) = answer["assignments"]
        self.run_token = given["run_token"]
        return {"worker_id": claim["worker_id"], "run_id": given["run_id"], "lease_epoch": given["lease_epoch"]}

    def replaced(self, value: Any) -> Any:
        """Return a value with what is known by the name of its field in place of what was drawn, however deep."""
        if isinstance(value, list):
            return [self.replaced(each) for each in value]
        if isinstance(value, dict):
            return {name: self.idents.get(name, self.replaced(each)) for name, each in value.items()}
        return value
