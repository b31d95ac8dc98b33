"""A figure: what was measured, in several rounds, told as a median with its spread."""

from __future__ import annotations

import os
import platform
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import apsw


@dataclass(frozen=True)
class Figure:
    """One row of the table. `ceiling` is the raw database's rate in the same rounds, where that means something."""

    name: str
    unit: str
    rounds: Sequence[float]
    ceiling: Sequence[float] = ()
    note: str = ""

    @property
    def median(self) -> float:
        """Return the median of the rounds."""
        return statistics.median(self.rounds)

    def row(self) -> str:
        """Return the figure as a row of Markdown."""
        spread = f"{_number(min(self.rounds))} to {_number(max(self.rounds))}"
        ceiling = share = "–"
        if self.ceiling:
            top = statistics.median(self.ceiling)
            ceiling, share = _number(top), f"{self.median / top:.0%}"
        return f"| {self.name} | {_number(self.median)} {self.unit} | {spread} | {ceiling} | {share} | {self.note} |"


def _number(value: float) -> str:
    return f"{value:,.0f}".replace(",", " ") if value >= 100 else f"{value:.2f}"


def table(figures: Sequence[Figure]) -> str:
    """Return the figures as Markdown, with the conditions they hold under."""
    rounds = max(len(figure.rounds) for figure in figures)
    head = [
        "# Figures",
        "",
        f"Measured {datetime.now(UTC):%Y-%m-%d %H:%M} UTC: {platform.system()} {platform.machine()},"
        f" {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the end, Python {platform.python_version()},"
        f" SQLite {apsw.sqlite_lib_version()} with `synchronous=FULL`. Medians of {rounds} rounds, smallest and largest"
        " beside them. The ceiling is the same rows written by the same statements in batches of 100 with nothing"
        " around them, measured between the rounds. Absolute figures drift with the machine; ratios of one run hold.",
        "",
        "| figure | median | spread | raw SQLite | share | conditions |",
        "|---|---|---|---|---|---|",
    ]
    return "\n".join([*head, *(figure.row() for figure in figures)]) + "\n"
