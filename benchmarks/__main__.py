"""`make bench`: print every figure, ours and the peers', and write `benchmarks/results/latest.md` and `.json`.

A run is bounded: each measurement has a longest time, and after `--budget-s` (540) no other begins; what did not begin
is named in the results. `--only lives trigger` measures these alone, `--quick` looks whether everything runs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.markdown import Markdown
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from benchmarks.catalogue import CATALOGUE
from benchmarks.child import measured
from benchmarks.figures import Figure, Peer
from benchmarks.peers.beside import PEERS, beside
from benchmarks.report import Report, markdown, report

RESULTS = Path(__file__).parent / "results"


def options() -> argparse.Namespace:
    """Return what the command line asks for."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    known = [*CATALOGUE, *PEERS]
    parser.add_argument("--only", nargs="+", choices=known, metavar="NAME", help=f"of: {', '.join(known)}")
    parser.add_argument("--quick", action="store_true", help="a tiny run of everything: does it work?")
    parser.add_argument("--rounds", type=int, help="rounds of each figure, instead of its own number")
    parser.add_argument(
        "--runs",
        type=int,
        help="ended runs behind `history`, `pg-history`, `kpi` (50000, 100000, 1000000); held ones of `crowd`",
    )
    parser.add_argument("--peers", action=argparse.BooleanOptionalAction, default=True, help="measure the peers, too")
    parser.add_argument("--budget-s", type=float, default=540.0, help="begin nothing after so many seconds")
    parser.add_argument("--results", type=Path, default=RESULTS, help="where to write latest.md and latest.json")
    return parser.parse_args()


def main() -> None:
    """Measure, print and write."""
    asked, console = options(), Console()
    begun = time.perf_counter()
    names = asked.only or [*CATALOGUE, *(PEERS if asked.peers else ())]
    figures: list[Figure] = []
    peers: list[Peer] = []
    took: dict[str, float] = {}
    left_out = [name for name in CATALOGUE if name not in names]
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task("", total=len(names))
        for name in names:

            def tell(words: str, name: str = name) -> None:
                progress.update(task, description=f"{name}: {words}")

            if time.perf_counter() - begun > asked.budget_s:
                left_out.append(f"{name} (the {asked.budget_s:g} s were over; ask for it by `--only {name}`)")
                continue
            tell("begins")
            name_begun = time.perf_counter()
            if name in CATALOGUE:
                figures += measured(name, _parameters(name, asked), tell)
            else:
                peers.append(beside(name, quick=asked.quick, rounds=asked.rounds, tell=tell))
            took[name] = time.perf_counter() - name_begun
            progress.advance(task)
    found = report(
        figures,
        peers,
        took_s=time.perf_counter() - begun,
        took_each_s=took,
        quick=asked.quick,
        peers_asked=any(name in PEERS for name in names),
        left_out=left_out,
    )
    _write(found, asked.results)
    console.print(Markdown(markdown(found)))


def _parameters(name: str, asked: argparse.Namespace) -> dict[str, object]:
    entry = CATALOGUE[name]
    chosen = dict(entry.quick if asked.quick else entry.usual)
    if asked.rounds is not None:
        chosen["rounds"] = asked.rounds
    if asked.runs is not None and "runs" in chosen and name.removeprefix("pg-") in ("history", "crowd", "kpi"):
        chosen["runs"] = asked.runs
    return chosen


def _write(found: Report, directory: Path) -> None:
    directory.mkdir(parents=True, exist_ok=True)
    (directory / "latest.md").write_text(markdown(found), encoding="utf-8")
    (directory / "latest.json").write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")


if __name__ == "__main__":
    main()
