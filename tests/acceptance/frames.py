"""Read server-sent events as the bytes that they are."""

import json
from collections.abc import Iterable
from typing import Any, NamedTuple


class Frame(NamedTuple):
    """One block of a stream: its fields by name; comments have none."""

    fields: dict[str, str]

    @property
    def seq(self) -> int:
        """Return the seq of an event's frame."""
        return int(self.fields["id"])

    @property
    def data(self) -> Any:
        """Return the decoded data."""
        return json.loads(self.fields["data"])


def frames(raw: bytes) -> list[Frame]:
    """Return the whole blocks of a stream; what comes after the last blank line is the start of a lost one."""
    return [_frame(block) for block in raw.split(b"\n\n")[:-1]]


def events(raw: bytes) -> list[dict[str, Any]]:
    """Return the events of a stream: of its frames those that have an id."""
    return [frame.data for frame in frames(raw) if "id" in frame.fields]


def event_bytes(raw: bytes) -> bytes:
    """Return the bytes of the whole event frames alone: no comments, no `retry:`, no broken end."""
    blocks = raw.split(b"\n\n")[:-1]
    return b"".join(block + b"\n\n" for block in blocks if block.startswith(b"id: "))


def seqs(found: Iterable[dict[str, Any]]) -> list[int]:
    """Return the seqs of events."""
    return [event["seq"] for event in found]


def _frame(block: bytes) -> Frame:
    fields: dict[str, str] = {}
    for line in block.decode().split("\n"):
        name, colon, value = line.partition(":")
        if name and colon:
            fields[name] = value.removeprefix(" ")
    return Frame(fields)
