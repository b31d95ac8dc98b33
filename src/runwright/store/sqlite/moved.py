"""The mark in a data directory whose runs move elsewhere: as long as it is there, no server goes on with them here."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec

from runwright.errors import StoreError, StoreReadOnly
from runwright.store.moving import Mark

MARK = "moved.json"


def mark_in(directory: Path) -> Mark | None:
    """Return the mark in a data directory."""
    try:
        return msgspec.json.decode((directory / MARK).read_bytes(), type=Mark)
    except FileNotFoundError:
        return None
    except (OSError, msgspec.MsgspecError) as broken:
        raise StoreError(f"{directory / MARK} cannot be read: {broken}") from broken


def set_mark(directory: Path, mark: Mark) -> None:
    """Keep servers away, durably, until the mark is removed."""
    beside = directory / f".{MARK}.partial"
    try:
        with beside.open("wb") as file:
            file.write(msgspec.json.encode(mark))
            file.flush()
            os.fsync(file.fileno())
        beside.rename(directory / MARK)
        _sync(directory)
    except OSError as broken:
        raise StoreReadOnly(f"{directory} cannot be written: {broken.strerror}") from broken


def remove_mark(directory: Path) -> None:
    """Let servers come back: nothing was moved."""
    (directory / MARK).unlink(missing_ok=True)
    _sync(directory)


def refuse_moved(directory: Path) -> None:
    """Raise `StoreError` for a data directory whose runs moved, or may have moved, elsewhere."""
    mark = mark_in(directory)
    if mark is not None:
        raise StoreError(
            f"the runs of {directory} moved to {mark.target}: serve that database. If the move did not come to its"
            f" end, run `runwright migrate-store` again; to go on here without what happened"
            f" there, remove {directory / MARK}"
        )


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
