# Generated from runwright/client/kpi.py by `make docs`; change that one instead.
"""Calls about KPIs: two windows of ended runs, compared, and the runs behind each number."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Unpack

from runwright.client.fields import PageOptions
from runwright.client.kpi_models import KpiReport, KpiRun
from runwright.client.sync.pages import Pages
from runwright.client.sync.transport import Transport


class Kpi:
    """Read KPIs."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def report(
        self,
        *,
        compare_window_days: int | None = None,
        baseline_window_days: int | None = None,
        as_of: datetime | None = None,
        group_by: str | None = None,
        project_id: str | None = None,
    ) -> KpiReport:
        """Return every metric in the compared window and the one before it; unless it is said, of 7 and 28 days."""
        params: Mapping[str, Any] = {
            "compare_window_days": compare_window_days,
            "baseline_window_days": baseline_window_days,
            "as_of": as_of,
            "group_by": group_by,
            "project_id": project_id,
        }
        return self._transport.one(KpiReport, "GET", "/api/v1/runtime/kpi", params=params)

    def runs(
        self,
        *,
        metric: str | None = None,
        side: str | None = None,
        compare_window_days: int | None = None,
        baseline_window_days: int | None = None,
        as_of: datetime | None = None,
        kind: str | None = None,
        mode: str | None = None,
        repo: str | None = None,
        model: str | None = None,
        project_id: str | None = None,
        **page: Unpack[PageOptions],
    ) -> Pages[KpiRun]:
        """Return the runs that ended in a window (`side`: compare or baseline), newest first.

        Of a metric only those that its value stands on, with what each of them adds.
        """
        params: Mapping[str, Any] = {
            "metric": metric,
            "side": side,
            "compare_window_days": compare_window_days,
            "baseline_window_days": baseline_window_days,
            "as_of": as_of,
            "kind": kind,
            "mode": mode,
            "repo": repo,
            "model": model,
            "project_id": project_id,
            **page,
        }
        return self._transport.pages(KpiRun, "/api/v1/runtime/kpi/runs", params)
