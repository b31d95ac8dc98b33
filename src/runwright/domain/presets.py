"""The presets of process runs: how many CPUs and how much memory a command may use."""

from __future__ import annotations

from typing import Literal, NamedTuple, get_args

PROCESS = "process"
"""The execution mode of jobs that are commands, and the executor of their runs."""

PresetName = Literal["micro", "small-1x", "small-2x", "medium-1x", "medium-2x", "large-1x", "large-2x"]


class Preset(NamedTuple):
    """What the processes of a run have together, at most."""

    cpus: int
    memory_mb: int


PRESETS: dict[PresetName, Preset] = dict(
    zip(
        get_args(PresetName),
        (
            Preset(1, 256),
            Preset(1, 512),
            Preset(2, 1024),
            Preset(2, 4096),
            Preset(4, 8192),
            Preset(8, 16_384),
            Preset(16, 32_768),
        ),
        strict=True,
    )
)
"""The one table, from the smallest to the largest."""

SMALLEST: PresetName = "micro"
