"""`make bench`: print every figure, and write `benchmarks/results/latest.md`."""

from __future__ import annotations

import argparse
from pathlib import Path

from rich.console import Console
from rich.markdown import Markdown

from benchmarks import measure
from benchmarks.figures import Figure, table
from runwright.api.server import run

LATEST = Path(__file__).parent / "results" / "latest.md"


async def measured(rounds: int, scale: float, console: Console) -> list[Figure]:
    """Measure everything once."""
    with console.status("measuring") as status:
        lives = await measure.whole_lives(rounds, _hundreds(10_000 * scale), status.update)
        starts = await measure.start_latency(rounds, _hundreds(1_000 * scale), status.update)
        events = await measure.events_delivered(rounds, 50, max(int(20 * scale), 1), 49, status.update)
    return [lives, *starts, events]


def _hundreds(count: float) -> int:
    return max(round(count / 100), 1) * 100


def main() -> None:
    """Parse the options, measure, print and write."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="rounds of each figure (default 5)")
    parser.add_argument("--scale", type=float, default=1.0, help="how much work a round is (default 1.0)")
    options = parser.parse_args()
    console = Console()
    text = table(run(measured(options.rounds, options.scale, console)))
    LATEST.parent.mkdir(exist_ok=True)
    LATEST.write_text(text, encoding="utf-8")
    console.print(Markdown(text))


if __name__ == "__main__":
    main()
