# Generated from runwright/client/usage.py by `make docs`; change that one instead.
"""Calls about money: what models used and cost, and the budgets that runs share."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal, Unpack
from urllib.parse import quote

from runwright.client.fields import PageOptions
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport
from runwright.client.usage_models import SharedBudget, UsageRow

By = Literal["total", "day", "model", "user", "thread", "persona", "project"]


class Usage:
    """Read what models used."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def report(
        self,
        by: By = "day",
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        project_id: str | None = None,
        model: str | None = None,
        user_id: str | None = None,
        thread_id: str | None = None,
        persona_id: str | None = None,
        **page: Unpack[PageOptions],
    ) -> Pages[UsageRow]:
        """Return what calls of models used, added up by day, model, user …; unless it is said, of the last 30 days."""
        params: Mapping[str, Any] = {
            "by": by,
            "since": since,
            "until": until,
            "project_id": project_id,
            "model": model,
            "user_id": user_id,
            "thread_id": thread_id,
            "persona_id": persona_id,
            **page,
        }
        return self._transport.pages(UsageRow, "/v1/usage", params)


class Budgets:
    """Set and read budgets. A `scope` is `project`, its `day`, or the id of a thread."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self, *, project_id: str | None = None, **page: Unpack[PageOptions]) -> Pages[SharedBudget]:
        """Return the budgets of a project, or all that the caller may see; newest first."""
        return self._transport.pages(SharedBudget, "/v1/budgets", {"project_id": project_id, **page})

    def get(self, scope: str, *, project_id: str | None = None) -> SharedBudget:
        """Return a budget as it stands."""
        return self._transport.one(SharedBudget, "GET", _path(scope), params={"project_id": project_id})

    def set(self, scope: str, limit_microusd: int, *, project_id: str | None = None) -> SharedBudget:
        """Set how much may be spent; a new budget counts the calls that begin from now on."""
        params: Mapping[str, Any] = {"project_id": project_id}
        body = {"limit_microusd": limit_microusd}
        return self._transport.one(SharedBudget, "PUT", _path(scope), params=params, body=body)

    def remove(self, scope: str, *, project_id: str | None = None) -> None:
        """Remove a budget."""
        self._transport.send("DELETE", _path(scope), params={"project_id": project_id})


def _path(scope: str) -> str:
    return f"/v1/budgets/{quote(scope, safe='')}"
