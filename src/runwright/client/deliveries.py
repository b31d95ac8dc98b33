"""Calls that deliver what runs made: commits, branches and pull requests."""

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Unpack
from urllib.parse import quote

from runwright.client.delivery_fields import DeliveryOptions
from runwright.client.delivery_models import Delivered, DeliveredRuns
from runwright.client.transport import Transport


class Deliveries:
    """Deliver runs. A call that is made again finds what it made: no second commit, branch or pull request."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    async def create(
        self,
        run_ids: Sequence[str],
        *,
        on_error: Literal["continue", "fail_fast"] | None = None,
        per_run: Mapping[str, Any] | None = None,
        **options: Unpack[DeliveryOptions],
    ) -> DeliveredRuns:
        """Deliver several runs, and return what became of each; `APPROVAL_MISSING` says what people must allow."""
        body: dict[str, Any] = {"run_ids": list(run_ids), **options}
        body |= {} if on_error is None else {"on_error": on_error}
        body |= {} if per_run is None else {"per_run": per_run}
        path = "/api/v1/runs/git/pr/checkpoints"
        return await self._transport.one(DeliveredRuns, "POST", path, body=body, repeatable=True)

    async def of_run(self, run_id: str, **options: Unpack[DeliveryOptions]) -> Delivered:
        """Deliver a run, and return what became of it."""
        path = f"/api/v1/runs/{quote(run_id, safe='')}/git/pr"
        return await self._transport.one(Delivered, "POST", path, body=dict(options), repeatable=True)
