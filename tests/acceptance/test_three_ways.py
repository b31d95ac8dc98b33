"""One job, three ways: in the server, in a worker elsewhere, behind an endpoint. The same events, the same result."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.acceptance.live_server import LiveServer
from tests.acceptance.live_worker import LiveWorker
from tests.acceptance.speech import Json, Speech, said
from tests.engine.databases import Database

pytestmark = [pytest.mark.xdist_group("acceptance-workers"), pytest.mark.slow]

TEXT = {"text": "to be or not to be"}
HANDLERS = "tests.acceptance.three_ways:app"
RESULT = {"words": 6, "top": ["to", "be", "or"]}


class Endpoint(BaseHTTPRequestHandler):
    """The job's code behind HTTP: it tells its records with the run's token, and answers with its result."""

    server: "Behind"

    def do_POST(self) -> None:
        """Do the work of one attempt."""
        payload = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        run_id, token = self.headers["Runwright-Run-Id"], self.headers["Runwright-Run-Token"]
        with httpx2.Client(base_url=self.server.url, headers={"authorization": f"Bearer {token}"}) as client:
            calls: tuple[tuple[str, Json], ...] = (
                ("log", {"message": "counting", "data": {"characters": len(payload["text"])}}),
                ("progress", {"percent": 50, "message": "half way"}),
                ("checkpoint", {"state": {"counted": True}}),
                ("output", {"key": "count", "value": {"words": 6}}),
            )
            for call, body in calls:
                assert client.post(f"/sdk/v1/runs/{run_id}/{call}", json=body).is_success, call
        body_ = json.dumps(RESULT).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body_)))
        self.end_headers()
        self.wfile.write(body_)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


class Behind(ThreadingHTTPServer):
    """The endpoint's server."""

    url = ""


@contextlib.asynccontextmanager
async def behind(url: str) -> AsyncIterator[str]:
    """Serve the endpoint in threads of this process, and yield its address."""
    with Behind(("127.0.0.1", 0), Endpoint) as server:
        server.url = url
        serving = asyncio.create_task(asyncio.to_thread(server.serve_forever, 0.05))
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        await asyncio.to_thread(server.shutdown)
        await serving


async def test_the_same_job_has_the_same_events_and_the_same_result_in_all_three_ways(
    tmp_path: Path, database: Database
):
    live = LiveServer(tmp_path, database, worker=HANDLERS, worker_queues="inside", allow_private_endpoints="true")
    await live.start()
    worker = await LiveWorker(live.url, tmp_path, "--queue", "outside", handlers=HANDLERS).start()
    try:
        api = Speech(live.client())
        async with behind(live.url) as url:
            ways = {
                "in the server": {"handler": "count", "queue": "inside"},
                "elsewhere": {"handler": "count", "queue": "outside"},
                "behind an endpoint": {"execution_mode": "http", "endpoint_url": url},
            }
            seen = {}
            for way, fields in ways.items():
                slug = way.replace(" ", "-")
                job = await said(api.client.post("/v1/jobs", json={"slug": slug, **fields}), 201)
                seen[way] = await api.done(job["id"], TEXT)
        for way, run in seen.items():
            assert (run["status"], run["attempt"], run["result"]) == ("completed", 1, RESULT), way
            events = [(each["type"], each["message"]) for each in await api.events(run["id"])]
            assert events == [
                ("run.created", "created"),
                ("run.started", "started"),
                ("log", "counting"),
                ("run.progress", "half way"),
                ("checkpoint.saved", "checkpoint 1"),
                ("output.saved", "output count"),
                ("run.completed", "completed"),
            ], way
            outputs = await api.listed(f"/v1/runs/{run['id']}/outputs")
            assert [(each["output_key"], each["value"]) for each in outputs] == [("count", {"words": 6})]
        attempts = [(await api.listed(f"/v1/runs/{run['id']}/attempts"))[0] for run in seen.values()]
        assert [attempt["executor"] for attempt in attempts] == ["worker", "worker", "http"]
        assert attempts[1]["worker_id"] == worker.worker_id
        assert attempts[2]["trace"]["status"] == 200
    finally:
        await worker.kill()
        await live.close()
