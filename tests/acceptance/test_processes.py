"""Process runs on a real server: their output, their files, their stops and limits, and what their sandbox refuses."""

import json
from collections.abc import AsyncIterator

import pytest

from tests.acceptance.live_server import LiveServer
from tests.acceptance.process_jobs import last, output, process, processes_with
from tests.acceptance.speech import Speech, refused, said, unique
from tests.engine.databases import Database
from tests.observability.scrape import Scrape
from tests.waiting import until

pytestmark = pytest.mark.xdist_group("acceptance-processes")

COUNT = """
import json, os, pathlib, signal, sys, time
kept = pathlib.Path(os.environ["RUNWRIGHT_CHECKPOINT_FILE"])
at = json.loads(kept.read_text())["at"] if kept.exists() else 0
print("begins at", at, flush=True)
def stop(*_):
    kept.write_text(json.dumps({"at": at + 10}))
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
while not pathlib.Path("/workspace/done").exists():
    if at >= 20:
        pathlib.Path(os.environ["RUNWRIGHT_RESULT_FILE"]).write_text(json.dumps({"at": at}))
        break
    time.sleep(0.01)
"""


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory, module_database: Database) -> AsyncIterator[LiveServer]:
    """Serve with slots for commands, and with time for them to stop."""
    directory = tmp_path_factory.mktemp("processes")
    live = LiveServer(directory, module_database, worker=None, process_slots=4, stop_grace_s=20)
    await live.start()
    yield live
    await live.close()


async def test_a_command_gets_its_payload_and_says_its_output_and_its_result(api: Speech):
    script = """
        cat; echo; cat "$RUNWRIGHT_PAYLOAD_FILE"; echo; echo "attempt $RUNWRIGHT_ATTEMPT of $RUNWRIGHT_RUN_ID"
        echo wrong >&2; echo "{\\"made\\": 3}" > "$RUNWRIGHT_RESULT_FILE"
    """
    run = await api.done(await process(api, "sh", "-c", script), {"ö": [1, None]})
    assert (run["status"], run["result"], run["preset"]) == ("completed", {"made": 3}, "micro")
    events = await api.events(run["id"])
    given, again, attempt = output(events, "stdout").splitlines()
    assert (json.loads(given), again, attempt) == ({"ö": [1, None]}, given, f"attempt 1 of {run['id']}")
    assert output(events, "stderr") == "wrong\n"
    started = last(events, "process.started")["data"]
    assert (started["cpus"], started["memory_mb"], started["network"]) == (1, 256, "none")
    assert started["memory_means"] in ("cgroup", "sampled")
    assert last(events, "process.ended")["data"]["exit_code"] == 0


async def test_output_is_there_while_the_command_runs_and_on_a_terminal_it_is_one_stream(api: Speech):
    script = "echo out; echo err >&2; test -t 0 && test -t 1 && test -t 2 && echo terminal; sleep 3600"
    run = await api.trigger(await process(api, "sh", "-c", script, tty=True))
    log = await until(lambda: api.events(run["id"]), lambda log: "terminal" in output(log, "tty"))
    assert (await api.run(run["id"]))["status"] == "executing"
    assert output(log, "tty") == "out\r\nerr\r\nterminal\r\n"
    assert (await said(api.client.delete(f"/v1/runs/{run['id']}")))["status"] == "canceled"
    assert last(await api.events(run["id"]), "run.cancelled")["data"]["confirmed"] is True


async def test_a_command_is_paused_resumed_from_its_checkpoint_and_restarted_with_a_larger_preset(api: Speech):
    marker = unique("marker")
    run = await api.trigger(await process(api, "python3", "-c", COUNT, marker))
    await api.until(run["id"], "terminal.output")
    paused = await api.verb(run["id"], "pause")
    assert paused["status"] == "paused", "within the grace"
    assert processes_with(marker) == []
    assert last(await api.events(run["id"]), "run.paused")["data"]["confirmed"] is True
    await api.verb(run["id"], "resume")
    await api.until(run["id"], "process.started", count=2)
    await api.until(run["id"], "terminal.output", count=2)
    await api.verb(run["id"], "restart", preset="small-1x")
    ended = await api.ended(run["id"])
    assert (ended["status"], ended["result"], ended["preset"]) == ("completed", {"at": 20}, "small-1x")
    events = await api.events(run["id"])
    assert output(events, "stdout") == "begins at 0\nbegins at 10\nbegins at 20\n"
    started = [event["data"] for event in events if event["type"] == "process.started"]
    presets = [(each["preset"], each["memory_mb"]) for each in started]
    assert presets == [("micro", 256), ("micro", 256), ("small-1x", 512)]
    checkpoints = await api.listed(f"/v1/runs/{run['id']}/checkpoints")
    assert [(each["sequence"], each["state"]) for each in checkpoints] == [(1, {"at": 10}), (2, {"at": 20})]
    attempts = await api.listed(f"/v1/runs/{run['id']}/attempts")
    assert [(each["attempt"], each["outcome"]) for each in attempts] == [
        (1, "paused"),
        (1, "restarted"),
        (2, "completed"),
    ]
    await refused(api.client.post(f"/v1/runs/{run['id']}/restart", json={"preset": "huge"}), 422, "request.invalid")


async def test_a_command_that_takes_more_memory_than_its_preset_is_killed_and_says_so(api: Speech):
    greedy = "kept = []\nwhile True: kept.append(bytearray(4 << 20))"
    run = await api.done(await process(api, "python3", "-c", greedy, max_attempts=3))
    assert (run["status"], run["error_class"], run["attempt"]) == ("dead_letter", "MemoryLimit", 1)
    assert "the preset micro has 256 MiB" in run["error"]
    assert "larger preset" in run["error"]
    limited = last(await api.events(run["id"]), "process.limited")["data"]
    assert (limited["limit"], limited["most"], limited["used"] >= 256 << 20) == ("memory", 256 << 20, True)
    assert limited["means"] in ("cgroup", "sampled")


@pytest.mark.parametrize(
    ("script", "what", "words"),
    [
        ("python3 -c 'import socket; socket.create_connection((\"192.0.2.1\", 80), 2)'", "network", "network"),
        ("echo mine > /usr/mine", "path", "Read-only file system"),
        ("cat /root/.ssh/id_rsa; exit 1", "path", "Permission denied"),
        ("cat /etc/shadow; echo gave up >&2; exit 1", "path", "/etc/shadow"),
        ("unshare --user true", "call", "Operation not permitted"),
    ],
)
async def test_what_the_sandbox_refuses_is_an_event_of_its_own(api: Speech, script: str, what: str, words: str):
    run = await api.done(await process(api, "sh", "-c", script))
    assert (run["status"], run["error_class"]) == ("failed", "ProcessExit")
    told = last(await api.events(run["id"]), "security.refused")
    means = "counted" if what == "network" else "read"
    assert (told["data"]["what"], told["data"]["means"], words in told["message"]) == (what, means, True)


async def test_without_a_network_the_command_still_reaches_the_api_of_its_run(api: Speech):
    call = """
import json, os, urllib.request
url = f"{os.environ['RUNWRIGHT_API_URL']}/sdk/v1/runs/{os.environ['RUNWRIGHT_RUN_ID']}/progress"
headers = {"Authorization": f"Bearer {os.environ['RUNWRIGHT_RUN_TOKEN']}", "Content-Type": "application/json"}
body = json.dumps({"percent": 40, "message": "nearly"}).encode()
print(urllib.request.urlopen(urllib.request.Request(url, body, headers), timeout=20).status)
"""
    run = await api.done(await process(api, "python3", "-c", call))
    events = await api.events(run["id"])
    assert (run["status"], output(events, "stdout")) == ("completed", "201\n"), output(events, "stderr")
    assert last(events, "run.progress")["data"]["percent"] == 40
    assert "security.refused" not in [event["type"] for event in events]


async def test_the_network_of_the_machine_is_the_operators_to_give(api: Speech):
    run = await api.done(await process(api, "true", network="host", max_attempts=3))
    assert (run["status"], run["error_class"], run["attempt"]) == ("dead_letter", "NetworkRefused", 1)
    assert "RUNWRIGHT_PROCESS_NETWORK" in run["error"]


async def test_a_command_that_takes_too_long_or_does_not_exist_fails_and_leaves_nothing(api: Speech):
    marker = unique("marker")
    slow = await api.done(await process(api, "sh", "-c", f"sleep 3600; {marker}", timeout_secs=1))
    assert (slow["status"], slow["error_class"], processes_with(marker)) == ("timed_out", "Timeout", [])
    missing = await api.done(await process(api, "no-such-program", max_attempts=3))
    assert (missing["status"], missing["error_class"], missing["attempt"]) == ("dead_letter", "CommandNotStarted", 1)
    assert "no-such-program" in missing["error"]


async def test_a_command_that_fails_is_tried_again_with_its_exit_status_and_last_words(api: Speech):
    job = await process(api, "sh", "-c", "echo sorry >&2; exit 7", max_attempts=2, retry_initial_delay_secs=0)
    run = await api.done(job)
    assert (run["status"], run["attempt"]) == ("dead_letter", 2)
    assert run["error"] == "the process exited with 7: sorry"


async def test_what_becomes_of_commands_is_counted(api: Speech):
    before = await _scraped(api)
    greedy = "kept = []\nwhile True: kept.append(bytearray(4 << 20))"
    await api.done(await process(api, "python3", "-c", greedy, preset="small-1x"))
    await api.done(await process(api, "sh", "-c", "echo mine > /usr/mine"))
    run = await api.trigger(await process(api, "sh", "-c", "echo here; sleep 3600"))
    await api.until(run["id"], "terminal.output")
    assert (await _scraped(api)).value("runwright_worker_slots_busy", executor="process") == 1
    await api.verb(run["id"], "pause")
    await api.client.delete(f"/v1/runs/{run['id']}")
    after = await _scraped(api)
    for count, name, labels in (
        (1, "processes_started_total", {"preset": "small-1x"}),
        (2, "processes_started_total", {"preset": "micro"}),
        (1, "processes_limited_total", {"limit": "memory"}),
        (1, "processes_refused_total", {"what": "path"}),
        (3, "process_peak_memory_bytes_count", {}),
        (1, "attempt_duration_seconds_count", {"executor": "process", "outcome": "paused"}),
    ):
        was = before.value(f"runwright_{name}", **labels) or 0
        assert (after.value(f"runwright_{name}", **labels) or 0) - was == count, name


async def _scraped(api: Speech) -> Scrape:
    return Scrape((await api.client.get("/metrics")).text)
