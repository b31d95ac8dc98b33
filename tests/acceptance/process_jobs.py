"""Jobs that are commands, and what they left: in the log, and on this machine."""

from pathlib import Path
from typing import Any

from tests.acceptance.speech import Json, Speech, said, unique


async def process(api: Speech, *words: str, **fields: Any) -> str:
    """Make a job of a command and return its id."""
    asked = {"slug": unique("process"), "execution_mode": "process", "command": words, "max_attempts": 1, **fields}
    return str((await said(api.client.post("/v1/jobs", json=asked), 201))["id"])


def output(events: list[Json], stream: str) -> str:
    """Return what a process wrote to a stream."""
    data = [event["data"] for event in events if event["type"] == "terminal.output"]
    return "".join(each["chunk"] for each in data if each["stream"] == stream)


def last(events: list[Json], type: str) -> Json:
    """Return the last event of a type."""
    return [event for event in events if event["type"] == type][-1]


def processes_with(marker: str, *, program: str | None = None) -> list[int]:
    """Return the processes of this machine whose command line has a word with this in it, those of one program only."""
    found = []
    for directory in Path("/proc").glob("[0-9]*"):
        try:
            words = (directory / "cmdline").read_text(errors="replace").split("\0")
        except OSError:
            continue
        if any(marker in word for word in words) and program in (None, words[0]):
            found.append(int(directory.name))
    return found
