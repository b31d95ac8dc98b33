"""What a real server writes to its log: requests, runs, workers, its own beginning and end, and nothing secret."""

import json
import logging
import socket
from pathlib import Path
from typing import Any

import pytest

from runwright import config, telemetry
from runwright.domain.redaction import Redactor
from runwright.observability.logging import configure
from tests.acceptance.live_server import API_KEY, LiveServer
from tests.acceptance.speech import Speech

QUERY_SECRET = "tick_verysecretvalue"


async def logged(directory: Path, **settings: Any) -> list[dict[str, Any]]:
    """Serve one run, one refusal and one broken request, and return all lines of the log."""
    live = LiveServer(directory, **settings)
    await live.start()
    api = Speech(live.client())
    run = await api.trigger(await api.job("echo"), {"word": "in-the-payload"})
    await api.ended(run["id"])
    await api.client.get(f"/v1/nothing?ticket={QUERY_SECRET}", headers={"x-request-id": "req-of-mine"})
    with socket.create_connection(("127.0.0.1", live.port)) as door:
        door.sendall(b"no http\r\n\r\n")
        door.recv(1000)
    await live.stop()
    await live.close()
    text = live.log.read_text("utf-8")
    assert API_KEY not in text
    assert QUERY_SECRET not in text
    assert "in-the-payload" not in text
    return [{**json.loads(each), "run": run} for each in text.splitlines() if each.startswith("{")]


def named(lines: list[dict[str, Any]], event: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["event"] == event]


async def test_at_debug_every_request_every_step_of_a_run_and_the_http_server_have_their_lines(tmp_path: Path):
    lines = await logged(tmp_path, log_level="debug")
    (refused,) = [line for line in named(lines, "request") if line["request_id"] == "req-of-mine"]
    assert (refused["method"], refused["route"], refused["status"], refused["level"]) == ("GET", "none", 404, "debug")
    assert refused["duration_ms"] > 0
    assert len(refused["trace_id"]) == 32
    (made,) = [line for line in named(lines, "request") if line["route"] == "/v1/jobs/{job}/trigger"]
    run = made["run"]
    for name in ("run.created", "run.started", "run.completed"):
        assert [line["run_id"] for line in named(lines, name)] == [run["id"]]
    (started,) = named(lines, "run.started")
    assert started["actor"] in {f"worker:{worker['worker_id']}" for worker in named(lines, "worker.started")}
    assert started["trace_id"] == made["trace_id"]
    assert [line["level"] for line in lines if line["event"] == "Invalid HTTP request received."] == ["warning"]
    assert {line["logger"] for line in lines} >= {"runwright", "uvicorn.error"}


async def test_at_info_a_server_tells_its_beginning_and_end_and_no_single_request_or_good_run(tmp_path: Path):
    lines = await logged(tmp_path)
    told = [line["event"] for line in lines if line["logger"] == "runwright"]
    of_life = [event for event in told if not event.startswith("worker.")]
    assert of_life == ["process.ready", "process.draining", "process.stopped"]
    assert told[:5] == ["worker.started"] * 5
    assert {event: told.count(event) for event in told if event not in of_life} == {
        "worker.started": 5,
        "worker.draining": 5,
        "worker.drained": 5,
    }
    assert named(lines, "Invalid HTTP request received.")


@pytest.mark.parametrize(("told", "level"), [("info", "info"), ("off", "debug")])
async def test_the_setting_says_at_which_level_requests_are_told(tmp_path: Path, told: str, level: str):
    lines = await logged(tmp_path, log_level=level, log_requests=told)
    assert bool(named(lines, "request")) == (told == "info")


async def test_at_error_nothing_less_is_told(tmp_path: Path):
    assert {line["level"] for line in await logged(tmp_path, log_level="error")} <= {"error", "critical"}


def test_undoing_puts_the_handlers_and_levels_back_and_listens_no_more():
    root = logging.getLogger()
    before = (root.handlers, root.level, logging.getLogger("uvicorn").level, dict(telemetry._sinks))
    undo = configure(config.load({}, overrides={"log_level": "debug", "log_requests": "info"}), Redactor())
    assert telemetry._sinks.keys() >= {"http.answered", "commit.written"}
    undo()
    assert (root.handlers, root.level, logging.getLogger("uvicorn").level, dict(telemetry._sinks)) == before


@pytest.mark.parametrize(
    ("settings", "names"),
    [
        ({"log_level": "warning"}, set()),
        ({"log_level": "info"}, {"commit.written"}),
        ({"log_level": "info", "log_requests": "info"}, {"commit.written", "http.answered"}),
        ({"log_level": "debug"}, {"commit.written", "http.answered"}),
        ({"log_level": "warning", "log_requests": "info"}, set()),
    ],
)
def test_what_no_line_is_written_for_is_not_even_listened_to(settings: dict[str, str], names: set[str]):
    undo = configure(config.load({}, overrides=settings), Redactor())
    listened = {name for name in telemetry._sinks if name != "*"}
    undo()
    assert listened == names
