"""The terminal of a run: `WS /api/v1/runs/{run_id}/terminal`, and what it showed as a file."""

from __future__ import annotations

from urllib.parse import parse_qs

from starlette.responses import Response, StreamingResponse

from runwright.api.context import Call
from runwright.api.routing import Routes
from runwright.api.runtime import addresses
from runwright.api.runtime import terminal_frames as frames
from runwright.api.runtime.terminal_viewer import Viewer
from runwright.api.sockets import Socket
from runwright.engine.reader import require_log
from runwright.errors import InvalidRequest
from runwright.governance.recordings import recorded

routes = Routes(tag="runtime")

CAST = "application/x-asciicast"
ANSWERS = {
    101: "The terminal, as a WebSocket: ask with `Upgrade: websocket`; `?cursor=` goes on after a frame",
    410: "Retention has removed the log of the run",
}


@addresses.get(
    routes,
    "/{run_id}/terminal",
    scope="runs:read",
    media=CAST,
    answers=ANSWERS,
    summary="Read what a run's commands printed",
)
async def read_terminal(call: Call, run_id: str) -> Response:
    """Answer with what the commands of the run have printed so far, as an asciicast 3 to be replayed.

    Asked for with `Upgrade: websocket`, it is the terminal itself, live.
    """
    reader = call.services.engine.reader(call.actor)
    record = await reader.run(run_id)
    require_log(record)
    headers = {"content-disposition": f'attachment; filename="{run_id}.cast"', "x-content-type-options": "nosniff"}
    return StreamingResponse(recorded(reader, record.run), media_type=CAST, headers=headers)


@addresses.socket(routes, "/{run_id}/terminal", scope="runs:read")
async def watch_terminal(call: Call, socket: Socket, run_id: str) -> None:
    """Show a viewer the terminal from the cursor on, or from its beginning, until the run ends."""
    record = await call.services.engine.reader(call.actor).run(run_id)
    given = _cursor(call)
    after = None if given is None else frames.place(run_id, given)
    offered = call.scope.get("subprotocols") or ()
    await socket.accept(frames.PROTOCOL if frames.PROTOCOL in offered else None)
    await Viewer(call, socket, record).watch(after)


def _cursor(call: Call) -> str | None:
    """Return the cursor of the query."""
    asked = parse_qs(call.scope["query_string"].decode("latin-1"), keep_blank_values=True)
    if unknown := asked.keys() - {"cursor"}:
        raise InvalidRequest.at(min(unknown), "is no parameter of a terminal; it has `cursor`")
    given = asked.get("cursor", [])
    if len(given) > 1:
        raise InvalidRequest.at("cursor", "must be given once")
    return given[0] if given else None
