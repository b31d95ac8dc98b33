"""The rig runs: one figure in a tiny size through the real command, and followers that notice what they miss."""

import asyncio
import os
import socket
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from urllib.parse import urlsplit

import msgspec

from benchmarks.catalogue import CATALOGUE
from benchmarks.child import measured
from benchmarks.figures import Figure
from benchmarks.follow import Follower, Reading
from benchmarks.report import Report
from tests.house.tree import ROOT
from tests.waiting import until_then

LINES = 3


def test_a_quick_run_of_one_figure_measures_writes_and_says_what_it_left_out(tmp_path: Path) -> None:
    words = ("--quick", "--only", "fan", "--results", str(tmp_path))
    subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=ROOT, check=True, capture_output=True)
    report = msgspec.json.decode((tmp_path / "latest.json").read_bytes(), type=Report)
    by_name = {figure.name: figure for figure in report.figures}
    assert report.quick
    assert by_name["50 followers of one run, lost"].rounds == [0.0]
    assert all(figure.missing is None and figure.rounds for figure in report.figures)
    text = (tmp_path / "latest.md").read_text()
    assert "- kill: left out of this run" in text
    assert "| 50 followers of one run, append to reader, p99 |" in text


def test_a_figure_on_postgresql_has_a_server_of_its_own_that_ends_with_it(tmp_path: Path) -> None:
    words = ("--quick", "--only", "pg-workers", "--results", str(tmp_path))
    env = {**os.environ, "TMPDIR": str(tmp_path)}
    subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=ROOT, check=True, capture_output=True, env=env)
    (figure,) = msgspec.json.decode((tmp_path / "latest.json").read_bytes(), type=Report).figures
    assert (figure.missing, figure.database, len(figure.rounds), len(figure.ceiling)) == (None, "PostgreSQL", 1, 1)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["latest.json", "latest.md"]


def test_a_server_ends_when_who_asked_for_it_is_killed() -> None:
    code = "from benchmarks.database import postgresql\nwith postgresql() as s: print(s.url, flush=True); input()"
    words = [sys.executable, "-c", code]
    asking = subprocess.Popen(words, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert asking.stdout is not None
    port = urlsplit(asking.stdout.readline().strip()).port
    asking.kill()
    asking.communicate()

    def refused() -> int:
        with closing(socket.socket()) as knocking:
            return knocking.connect_ex(("127.0.0.1", port))

    until_then(refused)


def test_stocked_runs_on_postgresql_are_listed_read_and_streamed_like_others() -> None:
    figures = measured("pg-history", CATALOGUE["pg-history"].quick, lambda words: None)
    assert [figure.missing for figure in figures] == [None] * len(figures)
    assert {"list by time, from the middle, p99", "claim of a run over REST, p99"} < {figure.name for figure in figures}


def test_claims_and_appends_are_counted_where_a_snapshot_is_held_and_beside_it() -> None:
    figures = measured("pg-held", CATALOGUE["pg-held"].quick, lambda words: None)
    assert [(figure.missing, len(figure.rounds)) for figure in figures] == [(None, 1)] * 10
    assert all(figure.median > 0 for figure in figures)
    assert "20 idle streams of as many runs (0 lost)" in figures[0].conditions


def test_what_a_run_of_an_agent_adds_to_its_model_is_told_beside_the_model_itself() -> None:
    figures = measured("agents", CATALOGUE["agents"].quick, lambda words: None)
    assert [(figure.missing, len(figure.rounds), figure.unit) for figure in figures] == [(None, 1, "ms")] * 2
    assert all(figure.median > 0 for figure in figures)
    assert "directly" in figures[0].conditions


def test_a_run_whose_time_is_over_begins_nothing_more_and_says_so(tmp_path: Path) -> None:
    words = ("--only", "fan", "huey", "--budget-s", "0", "--results", str(tmp_path))
    subprocess.run([sys.executable, "-m", "benchmarks", *words], cwd=ROOT, check=True, capture_output=True)
    text = (tmp_path / "latest.md").read_text()
    assert "- fan (the 0 s were over" in text
    assert "- huey (the 0 s were over" in text


def test_a_measurement_that_breaks_says_so_in_its_place() -> None:
    figures: list[Figure] = measured("kill", {"rounds": 1, "count": "many"}, lambda words: None)
    assert [figure.name for figure in figures] == ["kill"]
    assert figures[0].missing is not None
    assert "TypeError" in figures[0].missing


def frame(seq: int, type: str = "log") -> bytes:
    """Return a chunk of a stream that holds one event."""
    event = {"seq": seq, "type": type, "created_at": "2026-01-01T00:00:00.000001Z", "data": {"at_ns": 5}}
    body = b"id: %d\ndata: %b\n\n" % (seq, msgspec.json.encode(event))
    return b"%x\r\n%b\r\n" % (len(body), body)


HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"


async def followed(*parts: bytes) -> Follower:
    """Return a follower that was given these parts of an answer, and then no more."""
    async with asyncio.timeout(5):
        follower = Follower(Reading(), "run_1")
        for part in parts:
            follower.data_received(part)
        if not follower.ended.done():
            follower.connection_lost(None)
        await follower.ended
    return follower


async def test_a_follower_counts_every_event_however_the_bytes_are_cut() -> None:
    whole = HEAD + b"".join(frame(seq) for seq in range(1, LINES + 1)) + frame(LINES + 1, "run.completed")
    for cut in range(1, len(whole)):
        follower = await followed(whole[:cut], whole[cut:])
        assert (follower.events, follower.lost) == (LINES + 1, 0)
        assert len(follower.from_line_ms) == LINES


async def test_a_follower_counts_a_missed_event_a_doubled_one_and_a_stream_that_ended_early() -> None:
    assert (await followed(HEAD, frame(1), frame(3, "run.completed"))).lost == 1
    assert (await followed(HEAD, frame(1), frame(1), frame(2, "run.completed"))).lost == 1
    assert (await followed(HEAD, frame(1))).lost == 1
