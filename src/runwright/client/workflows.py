"""Calls about workflows."""

from collections.abc import Mapping, Sequence
from typing import Any, Unpack
from urllib.parse import quote

from runwright.client.fields import PageOptions
from runwright.client.json_values import json_copy
from runwright.client.models import Run
from runwright.client.pages import Pages
from runwright.client.transport import Transport
from runwright.client.workflow_models import (
    Workflow,
    WorkflowChanges,
    WorkflowFields,
    WorkflowStepRun,
    WorkflowTrigger,
    WorkflowVersion,
)


class Workflows:
    """Create, change and start workflows. A workflow is named by its id, or by its slug in a project."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(self, *, idempotency_key: str | None = None, **fields: Unpack[WorkflowFields]) -> Workflow:
        """Create a workflow of 1 to 100 steps."""
        return await self._transport.made(Workflow, "/v1/workflows", fields, idempotency_key)

    async def get(self, workflow: str, *, project_id: str | None = None) -> Workflow:
        """Return a workflow."""
        return await self._transport.one(Workflow, "GET", _path(workflow), params={"project_id": project_id})

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[Workflow]:
        """Return the workflows of a project, or all that the caller may see; newest first."""
        return self._transport.pages(Workflow, "/v1/workflows", {"project_id": project_id, **page})

    async def update(
        self, workflow: str, *, project_id: str | None = None, **fields: Unpack[WorkflowChanges]
    ) -> Workflow:
        """Change a workflow; every change is a version, and a run keeps the version that it started with."""
        params = {"project_id": project_id}
        return await self._transport.one(Workflow, "PATCH", _path(workflow), params=params, body=fields)

    async def delete(self, workflow: str, *, project_id: str | None = None) -> None:
        """Delete a workflow; its runs stay, and those under way go on."""
        await self._transport.send("DELETE", _path(workflow), params={"project_id": project_id})

    def versions(
        self, workflow: str, *, project_id: str | None = None, **page: Unpack[PageOptions]
    ) -> Pages[WorkflowVersion]:
        """Return the versions of a workflow, oldest first."""
        params = {"project_id": project_id, **page}
        return self._transport.pages(WorkflowVersion, f"{_path(workflow)}/versions", params)

    async def trigger(
        self,
        workflow: str,
        payload: Mapping[str, Any] | None = None,
        *,
        project_id: str | None = None,
        **options: Unpack[WorkflowTrigger],
    ) -> Run:
        """Start a run of a workflow. Called once, it makes one run, however often the request must be sent.

        Without an `idempotency_key` of the caller's, one is made up for this call.
        """
        body: dict[str, Any] = dict(options)
        if payload is not None:
            body["payload"] = json_copy(payload)
        key = body.pop("idempotency_key", None)
        params = {"project_id": project_id}
        return await self._transport.made(Run, f"{_path(workflow)}/trigger", body, key, params=params)

    async def steps(self, run_id: str) -> Sequence[WorkflowStepRun]:
        """Return all steps of a workflow's run, in the order of its definition, with how each stands."""
        path = f"/v1/workflow-runs/{quote(run_id, safe='')}/steps"
        return self._transport.read_all(WorkflowStepRun, await self._transport.send("GET", path))


def _path(workflow: str) -> str:
    return f"/v1/workflows/{quote(workflow, safe='')}"
