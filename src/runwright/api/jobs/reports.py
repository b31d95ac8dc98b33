"""What a run's code reported: the model calls that it paid for, and the tools that it called, as views of its log."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from runwright.api.context import Call
from runwright.api.jobs import run_schemas as wire
from runwright.api.jobs.views import tool_call_view, usage_type, usage_view
from runwright.api.pages import Page, PageQuery, Window
from runwright.api.routing import Routes
from runwright.domain.events import Event
from runwright.engine.reader import Beyond, Reader, require_data

routes = Routes(tag="runs")

ERASED = {410: "The data of the run were erased, or removed by retention"}

T = TypeVar("T", wire.Usage, wire.ToolCall)

TOTALS = {
    "X-Total-Prompt-Tokens": "The sum of `prompt_tokens` over the whole list.",
    "X-Total-Completion-Tokens": "The sum of `completion_tokens`.",
    "X-Total-Tokens": "The sum of `total_tokens`.",
    "X-Total-Cost-Microusd": "The sum of `cost_microusd`.",
}
_SUMMED = ("prompt_tokens", "completion_tokens", "total_tokens", "cost_microusd")


@routes.get(
    "/v1/runs/{run_id}/usage",
    scope="runs:read",
    answers=ERASED,
    answer_headers=TOTALS,
    summary="List what a run's model calls used",
)
async def list_usage(call: Call, run_id: str, query: PageQuery) -> Page[wire.Usage]:
    """List what a run used of models, as its code reported it or the agent's calls were settled, oldest first.

    The headers tell the totals; a cost that is not known is none of them.
    """
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    require_data(record)
    kind = usage_type(record.run)
    page = await _page(call, reader, run_id, query, kind, usage_view)
    sums = dict.fromkeys(_SUMMED, 0)
    async for event in reader.all_of_type(run_id, kind):
        row = usage_view(event)
        sums = {name: total + (getattr(row, name) or 0) for name, total in sums.items()}
    page.more = {header: str(total) for header, total in zip(TOTALS, sums.values(), strict=True)}
    return page


@routes.get("/v1/runs/{run_id}/tool-calls", scope="runs:read", answers=ERASED, summary="List a run's tool calls")
async def list_tool_calls(call: Call, run_id: str, query: PageQuery) -> Page[wire.ToolCall]:
    """List the tools that the run's code called, oldest first."""
    reader = call.services.engine.reader(call.actor)
    require_data(await reader.run(run_id))
    return await _page(call, reader, run_id, query, "tool.called", tool_call_view)


async def _page(
    call: Call, reader: Reader, run_id: str, query: PageQuery, type: str, view: Callable[[Event], T]
) -> Page[T]:
    window = query.window(call.services.settings, order="asc")
    found = await reader.of_type(
        run_id, type, beyond=beyond(window, run_id), limit=window.limit + 1, newest_first=window.newest_first
    )
    return Page.of(found, window, view, lambda event: event.event_id)


def beyond(window: Window, run_id: str) -> Beyond:
    """Return where a page of events begins: after the one that the cursor names, or past the instant that it is."""
    if window.cursor is None:
        return Beyond()
    owner, _, seq = window.cursor.rpartition(".")
    if owner == run_id and seq.isascii() and seq.isdigit() and len(seq) <= 18:
        return Beyond(before_seq=int(seq)) if window.newest_first else Beyond(after_seq=int(seq))
    at = window.instant()
    return Beyond(before=at) if window.newest_first else Beyond(after=at)
