"""A player of asciicast 3, written by its description alone; what it shows is drawn by an emulator of others."""

from __future__ import annotations

import json
import re
from typing import Any

import pyte


def lines(cast: str) -> tuple[dict[str, Any], list[tuple[float, str, str]]]:
    """Return the header and the events of a recording. Raises `AssertionError` for what the format does not allow."""
    assert cast.endswith("\n")
    first, *rest = cast.removesuffix("\n").split("\n")
    head = json.loads(first)
    assert isinstance(head, dict)
    assert head["version"] == 3
    assert head.keys() <= {"version", "term", "timestamp", "idle_time_limit", "command", "title", "env", "tags"}
    assert head["term"].keys() <= {"cols", "rows", "type", "version", "theme"}
    assert all(type(head["term"][side]) is int and head["term"][side] > 0 for side in ("cols", "rows"))
    assert type(head.get("timestamp", 0)) is int
    events = []
    for line in rest:
        if line.startswith("#"):
            continue
        event = json.loads(line)
        assert isinstance(event, list)
        assert len(event) == 3, line
        interval, code, data = event
        assert isinstance(interval, int | float)
        assert interval >= 0, line
        assert code in ("o", "i", "m", "r", "x"), line
        assert isinstance(data, str)
        assert code != "r" or re.fullmatch(r"[1-9]\d*x[1-9]\d*", data), line
        assert code != "x" or re.fullmatch(r"-?\d+", data), line
        events.append((float(interval), code, data))
    return head, events


def screen(cast: str) -> pyte.Screen:
    """Play a recording to its end, and return what the terminal shows then."""
    head, events = lines(cast)
    shown = pyte.Screen(head["term"]["cols"], head["term"]["rows"])
    stream = pyte.Stream(shown)
    for _, code, data in events:
        if code == "o":
            stream.feed(data)
        elif code == "r":
            cols, rows = map(int, data.split("x"))
            shown.resize(rows, cols)
    return shown
