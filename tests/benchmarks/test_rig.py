"""The rig runs: one figure in a tiny size through the real command, and followers that notice what they miss."""

import asyncio
import subprocess
import sys
from pathlib import Path

import msgspec

from benchmarks.child import measured
from benchmarks.figures import Figure
from benchmarks.follow import Follower, Reading
from benchmarks.report import Report
from tests.house.tree import ROOT

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
