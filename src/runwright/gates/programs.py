"""What the commands of gates find of this installation, such as ruff, where nothing else of it is shown."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from runwright.sandbox.programs import PYTHON, ProgramMissing, found


def programs(names: Iterable[str], environments: Sequence[Path] = ()) -> dict[str, tuple[str, ...]]:
    """Return which of the names are programs of this installation that no environment has, such as ruff."""
    ours: dict[str, tuple[str, ...]] = {}
    for name in dict.fromkeys(names):
        if "/" in name or name.startswith(PYTHON) or any((each / "bin" / name).exists() for each in environments):
            continue
        try:
            kind = found(name).kind
        except ProgramMissing:
            continue
        if kind in ("file", "script"):
            ours[name] = (name,)
    return ours
